package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Limits of the assembly of node copies.
const (
	// assemblies is the number of copies that are assembled at a time, and waiting
	// that of those that wait for their turn. Further ones are refused: their
	// readers request them again.
	assemblies, waiting = 2, 64
	// copyStreams is the number of ranges of one copy that are read concurrently.
	copyStreams = 4
	// copyTries is the number of attempts at a copy that makes no progress, and
	// copyPause the time between them.
	copyTries = 5
	copyPause = 500 * time.Millisecond
	// copyDirty is the number of bytes that may wait for the disk when a range is
	// read.
	copyDirty = 32 << 20
	// copyOwners bounds the workers that are tried for one range.
	copyOwners = 3
)

// copies assembles node copies: whole versions for the readers on this node, from
// the workers that own them. A worker reads the store for a copy only where it owns
// the bytes itself, or stands in for an owner that cannot be reached. A version of
// which it owns all is fetched as a whole in the same way, and is no copy.
type copies struct {
	worker *Worker
	turns  chan struct{}

	mu      sync.Mutex
	running map[blockstore.Key]bool
	wg      sync.WaitGroup
	// ctx ends with the worker.
	ctx    context.Context
	cancel context.CancelFunc
}

func newCopies(w *Worker) *copies {
	c := &copies{worker: w, turns: make(chan struct{}, assemblies), running: map[blockstore.Key]bool{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// close ends the assemblies. What they have is kept, and continued when the copy is
// requested again.
func (c *copies) close() {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
}

// idle reports whether no copy is being assembled.
func (c *copies) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running) == 0
}

// serve serves a request for a node copy. It is accepted from processes on this host
// only: a copy is of no use to others, and takes a share of this worker's disk.
func (c *copies) serve(rw http.ResponseWriter, r *http.Request) {
	w := c.worker
	object, failure := wire.ParseCopy(r.Body)
	request := object.Request()
	key := keyOf(request)
	if failure == nil {
		failure = c.check(r, key)
	}
	if failure != nil {
		w.fail(rw, nil, request, failure)
		return
	}
	if w.config.Blocks.Complete(key) {
		rw.WriteHeader(http.StatusOK)
		return
	}
	if !c.start(key) {
		w.fail(rw, nil, request, failureOf(fmt.Errorf("%d copies are being assembled: %w", assemblies+waiting, errBusy)))
		return
	}
	rw.WriteHeader(http.StatusAccepted)
}

// check returns the failure to send if the copy must not be made, else nil.
func (c *copies) check(r *http.Request, key blockstore.Key) *wire.Failure {
	w := c.worker
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case r.Method != http.MethodPost:
		return &wire.Failure{Status: http.StatusMethodNotAllowed, Code: wire.CodeInvalid, Message: "copies are requested with POST"}
	case !ok || local.Network() != "unix":
		return forbidden("node copies are made for processes on this host: use the socket")
	}
	if err := key.Validate(); err != nil {
		return wire.Invalid(err.Error())
	}
	if w.mount(r.Context(), key.Mount) == nil {
		return &wire.Failure{Status: http.StatusNotFound, Code: wire.CodeUnknownMount, Message: "unknown mount"}
	}
	if f := w.authorizeMount(r, key.Mount); f != nil {
		return f
	}
	fits := w.config.Blocks.CopyFits
	if w.views.load().ownsAll(w.config.Name, key) {
		fits = w.config.Blocks.Fits
	}
	if err := fits(key); err != nil {
		return &wire.Failure{Status: http.StatusInsufficientStorage, Code: wire.CodeUnavailable, Message: "no node copy: " + err.Error()}
	}
	return nil
}

// start assembles a copy in the background, unless that is in progress. It reports
// false if too many are.
func (c *copies) start(key blockstore.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.running[key]:
		return true
	case len(c.running) >= assemblies+waiting || c.ctx.Err() != nil:
		return false
	}
	c.running[key] = true
	c.wg.Go(func() {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.running, key)
		}()
		select {
		case c.turns <- struct{}{}:
			defer func() { <-c.turns }()
		case <-c.ctx.Done():
			return
		}
		if err := c.assemble(c.ctx, key); err != nil && c.ctx.Err() == nil {
			c.worker.config.Logger.Info("a node copy was not assembled", "mount", key.Mount, "key", key.Key, "error", err)
		}
	})
	return true
}

// errNotStored means that the bytes of a copy were read, and not cached.
var errNotStored = errors.New("its bytes are not cached: the tier has no room, or its disk fails")

// assemble reads what is missing of a version until nothing is. It ends when the
// version does not exist any more, when an attempt after another fails, and when what
// it reads is not cached.
func (c *copies) assemble(ctx context.Context, key blockstore.Key) error {
	var failed error
	own := c.worker.views.load().ownsPart(c.worker.config.Name, key)
	for tries := 0; tries < copyTries; {
		before := c.missing(key)
		if before == 0 {
			return nil
		}
		err := c.pass(ctx, key, own)
		after := c.missing(key)
		switch {
		case errors.Is(err, ufs.ErrPrecondition) || errors.Is(err, ufs.ErrNotFound):
			return err
		case err == nil && after >= before:
			return errNotStored
		case after < before:
			tries = 0
			continue
		}
		failed = err
		select {
		case <-time.After(copyPause << tries):
		case <-ctx.Done():
			return ctx.Err()
		}
		tries++
	}
	return failed
}

// missing returns the number of bytes of a version that are neither cached nor being
// fetched.
func (c *copies) missing(key blockstore.Key) int64 {
	var total int64
	for offset := int64(0); ; {
		first, end := c.worker.config.Blocks.Missing(key, offset)
		if first == end {
			return total
		}
		total += end - first
		offset = end
	}
}

// pass reads the missing ranges once. own is set if this worker owns a part of the
// version, which is then not counted as a copy.
func (c *copies) pass(ctx context.Context, key blockstore.Key, own bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copyStreams)
	for offset := int64(0); offset < key.Size && ctx.Err() == nil; {
		first, end := c.worker.config.Blocks.Missing(key, offset)
		if first == end {
			break
		}
		if v := c.worker.views.load(); v != nil {
			end = min(end, v.ring.StripeEnd(first, key.Size))
		}
		group.Go(func() error { return c.read(ctx, key, own, first, end-first) })
		offset = end
	}
	return group.Wait()
}

// awaitDisk blocks while many bytes wait for the disk: a block that is read then
// would not be cached.
func (c *copies) awaitDisk(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for c.worker.config.Blocks.Stats().Dirty > copyDirty {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// read reads one range of a copy into the cache.
func (c *copies) read(ctx context.Context, key blockstore.Key, own bool, offset, length int64) error {
	ctx, cancel := context.WithTimeout(ctx, c.worker.config.RequestTimeout)
	defer cancel()
	c.awaitDisk(ctx)
	entry := c.worker.mounts.get(key.Mount)
	if entry == nil {
		return fmt.Errorf("mount %s was removed: %w", key.Mount, ufs.ErrNotFound)
	}
	v := c.worker.views.load()
	source := &copySource{source: source{worker: c.worker, view: v, entry: entry, key: key, owner: v.owns(c.worker.config.Name, v.nameOf(key, offset))}}
	reader, err := c.worker.config.Blocks.Read(ctx, blockstore.Request{
		Key: key, Offset: offset, Length: length, Fetch: source.fetch, Copy: !own,
	})
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	_, err = reader.Copy(ctx, io.Discard)
	return err
}

// ownsAll reports whether a worker owns all stripes of a version.
func (v *view) ownsAll(name string, key blockstore.Key) bool {
	if v == nil {
		return false
	}
	for offset := int64(0); offset < key.Size; offset = v.ring.StripeEnd(offset, key.Size) {
		if !v.owns(name, v.nameOf(key, offset)) {
			return false
		}
	}
	return true
}

// ownsPart reports whether a worker owns a stripe of a version.
func (v *view) ownsPart(name string, key blockstore.Key) bool {
	if v == nil {
		return true
	}
	for offset := int64(0); offset < key.Size; offset = v.ring.StripeEnd(offset, key.Size) {
		if v.owns(name, v.nameOf(key, offset)) {
			return true
		}
	}
	return false
}

// copySource fetches the bytes of a node copy.
type copySource struct{ source }

// fetch reads from the owner of the bytes, or from the workers that stand in for it.
// Where that is this worker, it reads as for any reader.
func (s *copySource) fetch(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if s.owner || s.view == nil || mutantCopyFromStore {
		return s.source.fetch(ctx, offset, length)
	}
	var failed []error
	for i, member := range s.view.ring.Order(s.view.nameOf(s.key, offset)) {
		if member.GetName() == s.worker.config.Name {
			return s.source.fetch(ctx, offset, length)
		}
		if i >= copyOwners {
			break
		}
		body, err := s.fromOwner(ctx, member, offset, length)
		if err == nil {
			return body, nil
		}
		if errors.Is(err, ufs.ErrPrecondition) || errors.Is(err, ufs.ErrNotFound) || ctx.Err() != nil {
			return nil, err
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// fromOwner reads a range from a worker, which reads the store if it has to.
func (s *copySource) fromOwner(ctx context.Context, member *commonv1.RingMember, offset, length int64) (io.ReadCloser, error) {
	body, failure, err := s.worker.peers.request(ctx, member, wire.Request{
		Mount: s.key.Mount, Key: s.key.Key, ETag: s.key.ETag, Size: s.key.Size, First: offset, Last: offset + length - 1,
		RingEpoch: s.view.GetRing().GetEpoch(),
	}, s.worker.config.RequestTimeout)
	switch failure {
	case wire.CodeStale:
		err = fmt.Errorf("%w: %w", err, ufs.ErrPrecondition)
	case wire.CodeNotFound:
		err = fmt.Errorf("%w: %w", err, ufs.ErrNotFound)
	}
	return body, err
}
