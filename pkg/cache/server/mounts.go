package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// reopenAfter is the delay before a mount that could not be opened is retried.
const reopenAfter = 3 * time.Second

// openTimeout is the limit of the context with which a store is opened.
const openTimeout = time.Minute

// mounts holds the stores of the mounts of the view.
type mounts struct {
	open StoreOpener
	// limit is the number of concurrent GETs to one store.
	limit  int
	logger *slog.Logger

	mu      sync.Mutex
	entries map[string]*mounted
}

// mounted is one mount and its store, which is opened when it is first needed.
type mounted struct {
	mount *commonv1.Mount
	table *mounts
	// ctx ends when the mount is removed.
	ctx    context.Context
	cancel context.CancelFunc

	// opening holds a token while the store is being opened; requests holds one
	// for each GET in progress.
	opening, requests chan struct{}

	mu       sync.Mutex
	store    ufs.Store
	closed   bool
	failed   error // why the store cannot be opened
	failedAt time.Time
	// last is the last error of the store; nil after a success.
	last error
	// probed is the time at which the last probe began, and proved is set once one has
	// ended.
	probed time.Time
	proved bool
}

func newMounts(open StoreOpener, limit int, logger *slog.Logger) *mounts {
	return &mounts{open: open, limit: limit, logger: logger, entries: map[string]*mounted{}}
}

// apply updates the table to a view. Mounts that were removed or changed are
// closed.
func (m *mounts) apply(v *view) {
	m.mu.Lock()
	var removed []*mounted
	for id, entry := range m.entries {
		now := v.mounts[id]
		if now == nil || !sameStore(entry.mount, now) {
			removed = append(removed, entry)
			delete(m.entries, id)
		}
	}
	for id, mount := range v.mounts {
		if m.entries[id] == nil {
			entry := &mounted{mount: mount, table: m, opening: make(chan struct{}, 1), requests: make(chan struct{}, m.limit)}
			entry.ctx, entry.cancel = context.WithCancel(context.Background())
			m.entries[id] = entry
		}
	}
	m.mu.Unlock()
	for _, entry := range removed {
		entry.close()
	}
}

// sameStore reports whether a store opened for a can serve b.
func sameStore(a, b *commonv1.Mount) bool {
	with := func(m *commonv1.Mount) *commonv1.Mount {
		return &commonv1.Mount{Uri: m.GetUri(), Options: m.GetOptions(), SecretRef: m.GetSecretRef(), ReadOnly: m.GetReadOnly()}
	}
	return proto.Equal(with(a), with(b))
}

// get returns a mount of the view, or nil.
func (m *mounts) get(id string) *mounted {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[id]
}

func (m *mounts) all() []*mounted {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*mounted, 0, len(m.entries))
	for _, entry := range m.entries {
		all = append(all, entry)
	}
	return all
}

func (m *mounts) close() {
	for _, entry := range m.all() {
		entry.close()
	}
}

// use returns the store of a mount, and opens it if needed. After a failure it
// returns the same error until reopenAfter has passed.
func (e *mounted) use(ctx context.Context) (ufs.Store, error) {
	if store, err := e.opened(); store != nil || err != nil {
		return store, err
	}
	select {
	case e.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, e.late(ctx)
	}
	if store, err := e.opened(); store != nil || err != nil {
		<-e.opening
		return store, err
	}
	// The directory of a hung file system cannot be opened, whatever the context. The
	// end of this request says nothing about the mount.
	type result struct {
		store ufs.Store
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-e.opening }()
		store, err := e.openStore()
		done <- result{store, err}
	}()
	select {
	case r := <-done:
		return r.store, r.err
	case <-ctx.Done():
		return nil, e.late(ctx)
	}
}

func (e *mounted) late(ctx context.Context) error {
	return fmt.Errorf("open mount %s (%s): %w", e.mount.GetName(), e.mount.GetUri(), ctx.Err())
}

// openStore opens the store. The caller must hold the token of opening.
func (e *mounted) openStore() (ufs.Store, error) {
	ctx, cancel := context.WithTimeout(e.ctx, openTimeout)
	defer cancel()
	store, err := e.table.open(ctx, e.mount)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failedAt = time.Now()
	if err != nil {
		// An error of opening says nothing about single objects.
		if errors.Is(err, ufs.ErrNotFound) {
			err = fmt.Errorf("%w: %w", err, ufs.ErrNoBucket)
		}
		e.failed = fmt.Errorf("open mount %s (%s): %w", e.mount.GetName(), e.mount.GetUri(), err)
		e.table.logger.Warn("opening a mount failed", "mount", e.mount.GetName(), "error", err)
		return nil, e.failed
	}
	if e.closed {
		_ = store.Close()
		return nil, fmt.Errorf("mount %s was removed: %w", e.mount.GetName(), ufs.ErrUnavailable)
	}
	e.store, e.failed = store, nil
	return store, nil
}

// request blocks until another GET may be sent to the store. The caller must call
// release once its body was read.
func (e *mounted) request(ctx context.Context) (release func(), _ error) {
	select {
	case e.requests <- struct{}{}:
		return sync.OnceFunc(func() { <-e.requests }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%d requests to the store of mount %s are in progress: %w", cap(e.requests), e.mount.GetName(), ctx.Err())
	}
}

func (e *mounted) opened() (ufs.Store, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil && time.Since(e.failedAt) < reopenAfter {
		return nil, e.failed
	}
	return e.store, nil
}

// Limits of probes.
const (
	probeTimeout = 10 * time.Second
	probeAfter   = 30 * time.Second
)

// probe opens the store and lists one key, so that a mount that cannot work is
// reported before it is read. It probes a mount once, and again while it fails.
func (e *mounted) probe(ctx context.Context) {
	e.mu.Lock()
	due := e.probed.IsZero() || (e.last != nil || e.failed != nil) && time.Since(e.probed) > probeAfter
	if due {
		e.probed = time.Now()
	}
	e.mu.Unlock()
	if !due {
		return
	}
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.proved = true
	}()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	store, err := e.use(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			e.set(err, true) // Opening hangs, and has no result of its own.
		}
		return
	}
	_, err = store.List(ctx, ufs.ListOptions{MaxKeys: 1})
	if errors.Is(err, ufs.ErrInvalid) {
		// The request names no key: the store rejects every request.
		e.set(err, true)
		return
	}
	e.record(err, true)
}

// tried reports whether the store was opened, failed to, or was not in time.
func (e *mounted) tried() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.store != nil || e.failed != nil || e.last != nil
}

// note records the result of a request to the store that is no probe.
func (e *mounted) note(err error) { e.record(err, false) }

// record records the result of a request to the store. Errors about a single
// object, and requests that the store rejects for what they name, show nothing
// about the mount.
func (e *mounted) record(err error, probe bool) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ufs.ErrInvalidRange), errors.Is(err, ufs.ErrPrecondition), errors.Is(err, ufs.ErrInvalid):
		return
	case errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket):
		err = nil
	}
	e.set(err, probe)
}

// set sets the last error of the store. One of the same kind is
// replaced by that of a probe only, so that the report does not change with every
// request while its cause is the same.
func (e *mounted) set(err error, probe bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil && e.last == nil {
		e.table.logger.Warn("the store of a mount fails", "mount", e.mount.GetName(), "error", err)
	}
	if err == nil || e.last == nil || probe || !sameKind(err, e.last) {
		e.last = err
	}
}

// sameKind reports whether two errors of a store are of one kind.
func sameKind(a, b error) bool {
	for _, kind := range ufs.Kinds() {
		if is := errors.Is(a, kind); is || errors.Is(b, kind) {
			return is && errors.Is(b, kind)
		}
	}
	return true
}

// health returns why the store fails; nil if it works or was not used yet.
func (e *mounted) health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		return e.failed
	}
	return e.last
}

// works reports whether a probe has ended and the store does not fail.
func (e *mounted) works() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.proved && e.failed == nil && e.last == nil
}

func (e *mounted) close() {
	e.cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.store != nil {
		_ = e.store.Close()
		e.store = nil
	}
}
