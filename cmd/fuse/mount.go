//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	cache "github.com/jindo-io/jindo/pkg/cache/client"
	stores "github.com/jindo-io/jindo/pkg/cache/server"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/fusefs"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

const (
	// retryAfter is how long a holder that did not lend the mount is left
	// alone, and complainEvery how often that is logged.
	retryAfter    = 100 * time.Millisecond
	complainEvery = 10 * time.Second
	// requestGrace is what a request has beyond the deadline of a read.
	requestGrace = 15 * time.Second
	// currentTime is how long a mount's first readers wait for the masters.
	currentTime = 10 * time.Second
)

func readerConfig(o options, workers *cache.Client, sockets *reader.Sockets, logger *slog.Logger, registry prometheus.Registerer) reader.Config {
	config := reader.Config{
		Cluster: workers, ReadTimeout: o.readTimeout, Memory: o.memory, Logger: logger, Registry: registry,
	}
	if o.socketDir != "" {
		config.Local = sockets
	}
	if o.credentialsDir != "" {
		config.OpenStore = reader.StoreOpener(stores.StoresWith(o.credentialsDir))
	}
	return config
}

// source is the reader as the file system wants it.
type source struct{ *reader.Reader }

var _ fusefs.Source = source{}

// Open answers the bytes of one version.
func (s source) Open(ctx context.Context, v reader.Version) (fusefs.File, error) {
	file, err := s.Reader.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// mount is what this process serves: one after another, as the holder has them.
type mount struct {
	options options
	workers *cache.Client
	// masters: the runtime has some.
	masters  bool
	source   source
	registry prometheus.Registerer
	log      *slog.Logger
	// files is the mount of now, nil while there is none.
	files atomic.Pointer[fusefs.Server]
}

// serve waits until it is known what is mounted, then serves what the holder
// lends until the context ends. Until then requests wait: an early answer would
// be a wrong one.
func (m *mount) serve(ctx context.Context) error {
	if err := m.workers.Wait(ctx); err != nil {
		return err
	}
	for {
		if err := m.once(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		m.log.Info("the mount is gone, waiting for the next")
	}
}

// once takes a mount and serves it to its end.
func (m *mount) once(ctx context.Context) error {
	lease, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	m.current(ctx, lease)
	o, registry := m.options, &session{Registerer: m.registry}
	defer registry.end()
	files, err := fusefs.New(fusefs.Config{
		Attachment: lease, StateDir: o.stateDir, Source: m.source,
		UID: uint32(o.uid), GID: uint32(o.gid),
		AttrTTL: o.attrTTL, EntryTTL: o.entryTTL, NegativeTTL: o.negativeTTL,
		Timeout: o.readTimeout + requestGrace, Logger: m.log, Registry: registry,
	})
	if err != nil {
		return err
	}
	m.log.Info("serving", "mount", lease.Mountpoint, "generation", lease.Generation)
	m.files.Store(files)
	defer m.files.Store(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
		case <-lease.Done():
			// The holder has lent the mount to another, or has another mount.
			cancel()
		}
	}()
	return files.Serve(ctx)
}

// current makes sure that a mount's first readers are shown what the masters say
// is mounted: they were told that it is, and the first view may be a worker's of
// before. Those who read already do not wait for it, and neither does anybody
// for masters that stay away.
func (m *mount) current(ctx context.Context, lease *fusefd.Attachment) {
	if lease.Generation > 1 || !m.masters {
		m.workers.Hurry()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, currentTime)
	defer cancel()
	for {
		err := m.workers.Current(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			m.log.Warn("serving what was known to be mounted before: the masters do not say what is", "error", err)
			return
		}
	}
}

// ready says why this server does what it is here for not yet: with no mount
// given to it there is nothing to be answered.
func (m *mount) ready() error {
	if files := m.files.Load(); files != nil {
		return files.Ready()
	}
	if _, err := os.Lstat(m.options.sessionSocket); err == nil {
		return errors.New("a mount waits to be served: it is not known yet what it shows, or another server has it")
	}
	return nil
}

// reached says why readers may still see what was mounted before a view.
func (m *mount) reached(view uint64) error {
	if at := m.workers.View().GetIndex(); at < view {
		m.workers.Hurry()
		return fmt.Errorf("view: at %d, not at %d yet", at, view)
	}
	if files := m.files.Load(); files != nil {
		return files.Stale()
	}
	return nil
}

// acquire asks for the mount until it gets it.
func (m *mount) acquire(ctx context.Context) (*fusefd.Attachment, error) {
	var complained time.Time
	for {
		lease, err := fusefd.AttachLasting(ctx, m.options.sessionSocket)
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		// Without a socket there is no mount, which is nobody's fault.
		if !errors.Is(err, os.ErrNotExist) && time.Since(complained) > complainEvery {
			m.log.Warn("waiting for whoever holds the mount", "error", err)
			complained = time.Now()
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
