//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	cache "github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/server"
	"github.com/jindo-io/jindo/pkg/daemon"
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
)

// errGone ends the process when there is no mount to serve any more.
var errGone = errors.New("the mount is gone")

func readerConfig(o options, workers *cache.Client, sockets *reader.Sockets, logger *slog.Logger, health *daemon.Health) reader.Config {
	config := reader.Config{
		Cluster: workers, ReadTimeout: o.readTimeout, Memory: o.memory, Logger: logger, Registry: health.Registry,
	}
	if o.socketDir != "" {
		config.Local = sockets
	}
	if o.credentialsDir != "" {
		config.OpenStore = reader.StoreOpener(server.StoresWith(o.credentialsDir))
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

// mount is what this process serves.
type mount struct {
	options options
	workers *cache.Client
	source  source
	health  *daemon.Health
	log     *slog.Logger
}

// serve waits until it is known what is mounted, takes the mount and answers
// the kernel. Until then requests wait: an early answer would be a wrong one.
func (m *mount) serve(ctx context.Context) error {
	if err := m.workers.Wait(ctx); err != nil {
		return err
	}
	lease, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	o := m.options
	files, err := fusefs.New(fusefs.Config{
		Lease: lease, StateDir: o.stateDir, Source: m.source,
		UID: uint32(o.uid), GID: uint32(o.gid), //nolint:gosec // user ids
		AttrTTL: o.attrTTL, EntryTTL: o.entryTTL, NegativeTTL: o.negativeTTL,
		Timeout: o.readTimeout + requestGrace, Logger: m.log, Registry: m.health.Registry,
	})
	if err != nil {
		return err
	}
	m.log.Info("serving", "mount", lease.Mountpoint, "generation", lease.Generation)
	m.health.Ready("mount", files.Ready)
	m.health.Views(func(view uint64) error { return m.reached(files, view) })
	if err := files.Serve(ctx); err != nil {
		return err
	}
	return errGone
}

// reached says why readers may still see what was mounted before a view.
func (m *mount) reached(files *fusefs.Server, view uint64) error {
	if at := m.workers.View().GetIndex(); at < view {
		m.workers.Hurry()
		return fmt.Errorf("view: at %d, not at %d yet", at, view)
	}
	return files.Behind()
}

// acquire asks for the mount until it gets it.
func (m *mount) acquire(ctx context.Context) (*fusefd.Lease, error) {
	var complained time.Time
	for {
		lease, err := fusefd.Acquire(ctx, m.options.sessionSocket)
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if time.Since(complained) > complainEvery {
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
