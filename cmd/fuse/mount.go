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
	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/fusefs"
	"github.com/jindo-io/jindo/pkg/mount/reader"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

const (
	// retryInterval is the time between attempts to attach to the mount, or to
	// reach the masters.
	retryInterval = 100 * time.Millisecond
	// logInterval is the minimum time between two logs of a repeated failure.
	logInterval = 10 * time.Second
	// requestGrace is added to the read timeout for the deadline of a request.
	requestGrace = 15 * time.Second
	// mastersTimeout bounds the time that the first readers of a mount wait for
	// the masters.
	mastersTimeout = 10 * time.Second
)

func readerConfig(o options, workers *cache.Client, sockets *reader.Sockets, logger *slog.Logger, registry prometheus.Registerer) reader.Config {
	config := reader.Config{
		Cluster: workers, ReadTimeout: o.readTimeout, Memory: o.memory, Logger: logger, Registry: registry,
		// The kernel uses such a name for the rest of its timeouts, which are thus not
		// shorter than half.
		NameAge: min(o.attrTTL, o.entryTTL) / 2,
	}
	if o.socketDir != "" {
		config.Local = sockets
	}
	if files, err := daemon.Files(); err == nil {
		config.OpenFiles = files
	}
	if o.credentialsDir != "" {
		config.OpenStore = reader.StoreOpener(stores.StoresWith(o.credentialsDir, o.directories...))
	}
	return config
}

// source adapts a Reader to fusefs.Source.
type source struct{ *reader.Reader }

var _ fusefs.InstantSource = source{}

// Open returns a File for the bytes of one version.
func (s source) Open(ctx context.Context, v reader.Version) (fusefs.File, error) {
	file, err := s.Reader.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// OpenNow is like Open, which needs no other process.
func (s source) OpenNow(v reader.Version) (fusefs.File, error) {
	return s.Open(context.Background(), v)
}

// mount serves the mounts of one holder, one after another.
type mount struct {
	options options
	workers *cache.Client
	// hasMasters reports whether the runtime has masters.
	hasMasters bool
	source     source
	registry   prometheus.Registerer
	log        *slog.Logger
	// files serves the current mount; nil while there is none.
	files atomic.Pointer[fusefs.Server]
}

// serve waits for the first view of the runtime's mounts, then serves the holder's
// mounts until the context ends. Before the first view requests wait in the
// kernel, because every reply would be wrong.
func (m *mount) serve(ctx context.Context) error {
	if err := m.workers.Wait(ctx); err != nil {
		return err
	}
	for {
		if err := m.serveOne(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		m.log.Info("the mount was removed; waiting for the next one")
	}
}

// serveOne attaches to a mount and serves it until it is removed or ctx ends.
func (m *mount) serveOne(ctx context.Context) error {
	attachment, err := m.attach(ctx)
	if err != nil {
		return err
	}
	m.waitForMasters(ctx, attachment)
	o, registry := m.options, &scopedRegistry{Registerer: m.registry}
	defer registry.unregisterAll()
	files, err := fusefs.New(fusefs.Config{
		Attachment: attachment, StateDir: o.stateDir, Source: m.source,
		UID: uint32(o.uid), GID: uint32(o.gid),
		AttrTTL: o.attrTTL, EntryTTL: o.entryTTL, NegativeTTL: o.negativeTTL,
		Immutable: o.immutable, Passthrough: o.passthrough, Timeout: o.readTimeout + requestGrace, Logger: m.log, Registry: registry,
	})
	if err != nil {
		return err
	}
	m.log.Info("serving", "mount", attachment.Mountpoint, "generation", attachment.Generation)
	m.files.Store(files)
	defer m.files.Store(nil)
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		select {
		case <-serving.Done():
		case <-ctx.Done():
			m.awaitHolder(serving, attachment)
		case <-attachment.Done():
			// The holder has given the mount to another server, or has
			// another mount.
		}
		cancel()
	}()
	return files.Serve(serving)
}

// waitForMasters updates the view from the masters before the first readers of a
// mount see it: they may have been notified of a mount that is missing in the
// first view, which can be an old one of a worker. A successor does not wait,
// because it has readers already. waitForMasters returns after mastersTimeout when
// the masters are unreachable.
func (m *mount) waitForMasters(ctx context.Context, attachment *fusefd.Attachment) {
	if attachment.Generation > 1 || !m.hasMasters {
		m.workers.Hurry()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, mastersTimeout)
	defer cancel()
	for {
		err := m.workers.Current(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(retryInterval):
		case <-ctx.Done():
			m.log.Warn("the masters are unreachable; serving the last known mounts, which may be out of date", "error", err)
			return
		}
	}
}

// state returns what is reported to workers about the mount, nil while there is none.
func (m *mount) state() *workerv1.MountState {
	files := m.files.Load()
	if files == nil {
		return nil
	}
	p := files.Passthrough()
	return &workerv1.MountState{Id: p.Mount, Passthrough: p.Reason, Files: uint64(p.Files)}
}

// ready returns an error while a mount exists that this server does not serve yet.
// Without a mount the server is ready.
func (m *mount) ready() error {
	if files := m.files.Load(); files != nil {
		return files.Ready()
	}
	if _, err := os.Lstat(m.options.sessionSocket); err == nil {
		return errors.New("the mount is not served yet: the runtime's mounts are not known, or another server is attached")
	}
	return nil
}

// viewReached returns an error while readers may see the mounts of a view before
// the given index.
func (m *mount) viewReached(index uint64) error {
	if current := m.workers.View().GetIndex(); current < index {
		m.workers.Hurry()
		return fmt.Errorf("view: at %d, not at %d yet", current, index)
	}
	if files := m.files.Load(); files != nil {
		return files.Stale()
	}
	return nil
}

// attach attaches to the holder's mount, and retries until the context ends.
func (m *mount) attach(ctx context.Context) (*fusefd.Attachment, error) {
	var lastLog time.Time
	for {
		attachment, err := fusefd.AttachLasting(ctx, m.options.sessionSocket)
		if err == nil {
			return attachment, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		// A missing socket means that there is no mount, which is not a fault.
		if !errors.Is(err, os.ErrNotExist) && time.Since(lastLog) > logInterval {
			m.log.Warn("cannot attach to the mount; retrying", "error", err)
			lastLog = time.Now()
		}
		select {
		case <-time.After(retryInterval):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
