package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// stores holds the stores of the mounts, which are opened when the last rung of
// the ladder is tried for the first time. It is safe for concurrent use.
type stores struct {
	open    StoreOpener
	cluster Cluster
	logger  *slog.Logger
	// ctx of opening stores; close ends it.
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	byID   map[string]*openStore
	// directories lists names as a worker does; nil until first used.
	directories *dirstore.Store
}

// openTimeout is the limit of the context with which a store is opened.
const openTimeout = time.Minute

// openStore is a store with the mount that it was opened for.
type openStore struct {
	// turn holds a token while no caller opens the store. Opening may wait for the
	// network, so that it must not delay the stores of other mounts.
	turn chan struct{}
	// mount and store are nil until the store is open; they are guarded by
	// stores.mu.
	mount *commonv1.Mount
	store ufs.Store
}

func newStores(open StoreOpener, cluster Cluster, logger *slog.Logger) *stores {
	s := &stores{open: open, cluster: cluster, logger: logger, byID: map[string]*openStore{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// usable reports whether this reader has access to stores.
func (s *stores) usable() bool { return s.open != nil }

// get returns the store of a mount. It opens the store again when the mount has
// changed.
func (s *stores) get(ctx context.Context, id string) (*commonv1.Mount, ufs.Store, error) {
	mount := s.mount(id)
	if mount == nil {
		return nil, nil, fmt.Errorf("open the store of mount %s: the view has no such mount", id)
	}
	o, err := s.entry(id)
	if err != nil {
		return nil, nil, err
	}
	if store := s.current(o, mount); store != nil {
		return mount, store, nil
	}
	select {
	case <-o.turn:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("open the store of mount %s: %w", id, context.Cause(ctx))
	}
	// The directory of a hung file system cannot be opened, whatever the context.
	type result struct {
		store ufs.Store
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { o.turn <- struct{}{} }()
		store, err := s.reopen(o, mount)
		done <- result{store, err}
	}()
	select {
	case r := <-done:
		return mount, r.store, r.err
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("open the store of mount %s: %w", id, context.Cause(ctx))
	}
}

// reopen opens the store of an entry unless it is open. The caller must hold the
// turn.
func (s *stores) reopen(o *openStore, mount *commonv1.Mount) (ufs.Store, error) {
	if store := s.current(o, mount); store != nil {
		return store, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
	defer cancel()
	store, err := s.open(ctx, mount)
	if err != nil {
		return nil, fmt.Errorf("open the store of mount %s: %w", mount.GetId(), err)
	}
	if err := s.replace(o, mount, store); err != nil {
		return nil, err
	}
	return store, nil
}

// entry returns the entry of a mount.
func (s *stores) entry(id string) (*openStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("open the store of mount %s: the reader is closed", id)
	}
	o := s.byID[id]
	if o == nil {
		o = &openStore{turn: make(chan struct{}, 1)}
		o.turn <- struct{}{}
		s.byID[id] = o
	}
	return o, nil
}

// current returns the store of an entry if it was opened for the mount as it is.
func (s *stores) current(o *openStore, mount *commonv1.Mount) ufs.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.store == nil || !proto.Equal(o.mount, mount) {
		return nil
	}
	return o.store
}

// replace records an opened store and closes the one before. Requests in progress
// fail and are retried.
func (s *stores) replace(o *openStore, mount *commonv1.Mount, store ufs.Store) error {
	s.mu.Lock()
	before := o.store
	if s.closed {
		before = store
	} else {
		o.mount, o.store = mount, store
	}
	closed := s.closed
	s.mu.Unlock()
	if before != nil {
		if err := before.Close(); err != nil {
			s.logger.Debug("close a store that is not used any more", "mount", mount.GetId(), "error", err)
		}
	}
	if closed {
		return fmt.Errorf("open the store of mount %s: the reader is closed", mount.GetId())
	}
	return nil
}

func (s *stores) mount(id string) *commonv1.Mount {
	for _, m := range s.cluster.View().GetMounts() {
		if m.GetId() == id {
			return m
		}
	}
	return nil
}

func (s *stores) close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var failed []error
	if s.directories != nil {
		failed = append(failed, s.directories.Close())
	}
	for id, o := range s.byID {
		if o.store != nil {
			failed = append(failed, o.store.Close())
		}
		delete(s.byID, id)
	}
	return errors.Join(failed...)
}

// names calls list with the mount's store, by the rules of the workers.
func (s *stores) names(ctx context.Context, id string, list func(context.Context, dirstore.Mount, *dirstore.Store) error) error {
	mount, store, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.directories == nil && !s.closed {
		s.directories, err = dirstore.Open(dirstore.Config{Logger: s.logger})
	}
	directories := s.directories
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if directories == nil {
		return errClosed
	}
	return list(ctx, dirstore.Mount{
		ID: id, Epoch: mount.GetEpoch(), Policy: mount.GetMetaPolicy(), ReadOnly: mount.GetReadOnly(), Store: store,
	}, directories)
}

// opened returns the directory store that names uses, nil before its first use.
func (s *stores) opened() *dirstore.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directories
}

// storeStallFactor multiplies StallTimeout for the last rung, which has no
// successor.
const storeStallFactor = 5

// fetchStore requests the missing bytes from the store itself.
func (c *rangeRead) fetchStore(ctx context.Context, round int) (n int, err error) {
	stall := storeStallFactor * c.reader.config.StallTimeout << min(round, 4)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("%w for %s", client.ErrStalled, stall)) })
	defer watch.Stop()
	explain := func(err error) error {
		if cause := context.Cause(ctx); errors.Is(cause, client.ErrStalled) {
			return fmt.Errorf("the store was %w; %w", cause, err)
		}
		return err
	}
	_, store, err := c.reader.stores.get(ctx, c.object.Mount)
	if err != nil {
		return 0, explain(err)
	}
	body, object, err := store.Get(ctx, c.object.Key, ufs.Range{Offset: c.offset, Length: int64(c.to.missing)}, c.object.ETag)
	if err != nil {
		return 0, explain(err)
	}
	defer func() { _ = body.Close() }()
	if object.ETag != c.object.ETag || object.Size != c.object.Size {
		return 0, fmt.Errorf("%s returned version %q of %d bytes of %q, want %q of %d bytes: %w",
			store, object.ETag, object.Size, c.object.Key, c.object.ETag, c.object.Size, client.ErrStale)
	}
	defer func() { c.reader.metrics.bytes.WithLabelValues(string(rungStore)).Add(float64(n)) }()
	n, err = client.Receive(ctx, body, unwatched{&c.to, watch}, func(n int) {
		watch.Reset(stall)
		if c.progress != nil {
			c.progress(n)
		}
	})
	if err != nil && c.to.failed == nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s sent %d of %d bytes: %w", store, n, c.to.missing, io.ErrUnexpectedEOF)
		}
		err = explain(err)
	}
	return n, err
}

// unwatched is a destination whose wait for memory is not the store's silence.
type unwatched struct {
	*destination
	watch *time.Timer
}

// Memory stops the watch; progress starts it again.
func (u unwatched) Memory(ctx context.Context) ([]byte, error) {
	u.watch.Stop()
	return u.destination.Memory(ctx)
}
