package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"google.golang.org/protobuf/proto"
)

// reopenAfter is how long a mount that could not be opened is left alone.
const reopenAfter = 3 * time.Second

// mounts are the stores behind the mounts of the view.
type mounts struct {
	open   StoreOpener
	logger *slog.Logger

	mu      sync.Mutex
	entries map[string]*mounted
}

// mounted is one mount and its store, opened when it is first needed.
type mounted struct {
	mount *commonv1.Mount
	table *mounts

	// opening serialises attempts.
	opening sync.Mutex

	mu       sync.Mutex
	store    ufs.Store
	closed   bool
	failed   error // why it cannot be opened
	failedAt time.Time
	// last is what the store last refused; nil when it answers.
	last error
	// probed is when the store was last asked only to see whether it answers.
	probed time.Time
}

func newMounts(open StoreOpener, logger *slog.Logger) *mounts {
	return &mounts{open: open, logger: logger, entries: map[string]*mounted{}}
}

// apply makes the table that of a view: mounts that went or changed are
// closed.
func (m *mounts) apply(v *view) {
	m.mu.Lock()
	var gone []*mounted
	for id, entry := range m.entries {
		now := v.mounts[id]
		if now == nil || !sameStore(entry.mount, now) {
			gone = append(gone, entry)
			delete(m.entries, id)
		}
	}
	for id, mount := range v.mounts {
		if m.entries[id] == nil {
			m.entries[id] = &mounted{mount: mount, table: m}
		}
	}
	m.mu.Unlock()
	for _, entry := range gone {
		entry.close()
	}
}

// sameStore: nothing changed that a store was opened with.
func sameStore(a, b *commonv1.Mount) bool {
	with := func(m *commonv1.Mount) *commonv1.Mount {
		return &commonv1.Mount{Uri: m.GetUri(), Options: m.GetOptions(), SecretRef: m.GetSecretRef(), ReadOnly: m.GetReadOnly()}
	}
	return proto.Equal(with(a), with(b))
}

// get answers a mount of the view; nil when it is not there.
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

// use answers the store of a mount, opened if need be. One that could not be
// opened is tried again after a while; until then its reason is the answer.
func (e *mounted) use(ctx context.Context) (ufs.Store, error) {
	if store, err := e.opened(); store != nil || err != nil {
		return store, err
	}
	e.opening.Lock()
	defer e.opening.Unlock()
	if store, err := e.opened(); store != nil || err != nil {
		return store, err
	}
	store, err := e.table.open(ctx, e.mount)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failedAt = time.Now()
	if err != nil {
		// What kept it from opening says nothing about single objects.
		if errors.Is(err, ufs.ErrNotFound) {
			err = fmt.Errorf("%w: %w", err, ufs.ErrNoBucket)
		}
		e.failed = fmt.Errorf("mount %s (%s) cannot be opened: %w", e.mount.GetName(), e.mount.GetUri(), err)
		e.table.logger.Warn("opening a mount failed", "mount", e.mount.GetName(), "reason", err)
		return nil, e.failed
	}
	if e.closed {
		_ = store.Close()
		return nil, fmt.Errorf("mount %s was removed: %w", e.mount.GetName(), ufs.ErrUnavailable)
	}
	e.store, e.failed = store, nil
	return store, nil
}

func (e *mounted) opened() (ufs.Store, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil && time.Since(e.failedAt) < reopenAfter {
		return nil, e.failed
	}
	return e.store, nil
}

// Times of probes.
const (
	probeTimeout = 10 * time.Second
	probeAfter   = 30 * time.Second
)

// probe opens the store and asks it for one key, so that people learn of a
// mount that cannot work before anybody reads it: at first, and as long as it
// is sick.
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
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	store, err := e.use(ctx)
	if err != nil {
		return
	}
	_, err = store.List(ctx, ufs.ListOptions{MaxKeys: 1})
	e.note(err)
}

// tried tells whether the store was opened, or why not.
func (e *mounted) tried() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.store != nil || e.failed != nil
}

// note what a store last answered. What an object is or is not says nothing
// about the store.
func (e *mounted) note(err error) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ufs.ErrInvalidRange), errors.Is(err, ufs.ErrPrecondition):
		return
	case errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket):
		err = nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = err
}

// health is why the mount does not answer; nil when it does, or was not asked.
func (e *mounted) health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		return e.failed
	}
	return e.last
}

func (e *mounted) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.store != nil {
		_ = e.store.Close()
		e.store = nil
	}
}
