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

	mu     sync.Mutex
	closed bool
	byID   map[string]*openStore
	// directories lists names as a worker does; nil until first used.
	directories *dirstore.Store
}

// openStore is a store with the mount that it was opened for.
type openStore struct {
	mount *commonv1.Mount
	store ufs.Store
}

func newStores(open StoreOpener, cluster Cluster, logger *slog.Logger) *stores {
	return &stores{open: open, cluster: cluster, logger: logger, byID: map[string]*openStore{}}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, fmt.Errorf("open the store of mount %s: the reader is closed", id)
	}
	before := s.byID[id]
	if before != nil && proto.Equal(before.mount, mount) {
		return mount, before.store, nil
	}
	store, err := s.open(ctx, mount)
	if err != nil {
		return nil, nil, fmt.Errorf("open the store of mount %s: %w", id, err)
	}
	if before != nil {
		// Requests in progress fail and are retried.
		if err := before.store.Close(); err != nil {
			s.logger.Debug("close the store of a mount that changed", "mount", id, "error", err)
		}
	}
	s.byID[id] = &openStore{mount, store}
	return mount, store, nil
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var failed []error
	if s.directories != nil {
		failed = append(failed, s.directories.Close())
	}
	for id, o := range s.byID {
		failed = append(failed, o.store.Close())
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
	body, object, err := store.Get(ctx, c.object.Key, ufs.Range{Offset: c.offset, Length: int64(len(c.p))}, c.object.ETag)
	if err != nil {
		return 0, explain(err)
	}
	defer func() { _ = body.Close() }()
	if object.ETag != c.object.ETag || object.Size != c.object.Size {
		return 0, fmt.Errorf("%s returned version %q of %d bytes of %q, want %q of %d bytes: %w",
			store, object.ETag, object.Size, c.object.Key, c.object.ETag, c.object.Size, client.ErrStale)
	}
	defer func() { c.reader.metrics.bytes.WithLabelValues(string(rungStore)).Add(float64(n)) }()
	for n < len(c.p) {
		m, err := body.Read(c.p[n:])
		n += m
		if m > 0 {
			watch.Reset(stall)
			if c.progress != nil {
				c.progress(m)
			}
		}
		if errors.Is(err, io.EOF) && n < len(c.p) {
			err = fmt.Errorf("%s sent %d of %d bytes: %w", store, n, len(c.p), io.ErrUnexpectedEOF)
		}
		if err != nil && n < len(c.p) {
			return n, explain(err)
		}
	}
	return n, nil
}
