package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"google.golang.org/protobuf/proto"
)

// stores are those of the mounts, opened when the ladder gets to its last rung
// for the first time.
type stores struct {
	open    StoreOpener
	cluster Cluster
	logger  *slog.Logger

	mu     sync.Mutex
	closed bool
	byID   map[string]*openStore
	// directories asks for names as a worker does; nil until it has to.
	directories *dirstore.Store
}

// openStore is a store and the mount it was opened for.
type openStore struct {
	mount *commonv1.Mount
	store ufs.Store
}

func newStores(open StoreOpener, cluster Cluster, logger *slog.Logger) *stores {
	return &stores{open: open, cluster: cluster, logger: logger, byID: map[string]*openStore{}}
}

// usable tells whether this reader may ask stores at all.
func (s *stores) usable() bool { return s.open != nil }

// get the store of a mount, opened anew when the mount has changed.
func (s *stores) get(ctx context.Context, id string) (*commonv1.Mount, ufs.Store, error) {
	mount := s.mount(id)
	if mount == nil {
		return nil, nil, fmt.Errorf("opening the store of mount %s: the view has no such mount", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, fmt.Errorf("opening the store of mount %s: the reader is closed", id)
	}
	before := s.byID[id]
	if before != nil && proto.Equal(before.mount, mount) {
		return mount, before.store, nil
	}
	store, err := s.open(ctx, mount)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the store of mount %s: %w", id, err)
	}
	if before != nil {
		// Requests under way fail and are asked again.
		if err := before.store.Close(); err != nil {
			s.logger.Debug("closing the store of a mount that changed", "mount", id, "reason", err)
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

// names asks a mount's store for names, by the rules of the workers.
func (s *stores) names(ctx context.Context, id string, ask func(context.Context, dirstore.Mount, *dirstore.Store) error) error {
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
	return ask(ctx, dirstore.Mount{
		ID: id, Epoch: mount.GetEpoch(), Policy: mount.GetMetaPolicy(), ReadOnly: mount.GetReadOnly(), Store: store,
	}, directories)
}

// opened answers what names has asked with, if it has.
func (s *stores) opened() *dirstore.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directories
}

// storeSilence is how much more patience the last rung gets: there is nothing
// behind it.
const storeSilence = 5

// askStore gets the range from the store itself.
func (c *climb) askStore(ctx context.Context, round int) (n int, err error) {
	silence := storeSilence * c.reader.config.Silence << min(round, 4)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(fmt.Errorf("%w for %s", client.ErrStalled, silence)) })
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
		return 0, fmt.Errorf("%s has version %q of %d bytes of %q, not %q of %d bytes: %w",
			store, object.ETag, object.Size, c.object.Key, c.object.ETag, c.object.Size, client.ErrStale)
	}
	defer func() { c.reader.metrics.bytes.WithLabelValues(string(rungStore)).Add(float64(n)) }()
	for n < len(c.p) {
		m, err := body.Read(c.p[n:])
		n += m
		if m > 0 {
			watch.Reset(silence)
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
