//go:build linux

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	cache "github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mount/reader"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
)

// server is the server of one mount with its clients and stores.
type server struct {
	members topology.Topology
	masters *client.Client
	workers *cache.Client
	sockets *reader.Sockets
	files   *reader.Reader
	mount   *mount
}

func newServer(o options, logger *slog.Logger, registry prometheus.Registerer) (*server, error) {
	if o.stateDir == "" || o.sessionSocket == "" {
		return nil, errors.New("flags --state-dir and --session-socket are required")
	}
	members, err := topology.Load(o.roster)
	if err != nil {
		return nil, err
	}
	identity, err := mtls.LoadIdentityOf(o.tlsDir, o.name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	s := &server{members: members, sockets: reader.NewSockets(o.socketDir, identity)}
	s.masters, err = client.New(client.Config{Topology: members, Identity: identity, Holder: "fuse " + o.name, Logger: logger})
	if err != nil {
		return nil, err
	}
	s.mount = &mount{options: o, hasMasters: len(members.Masters) > 0, registry: registry, log: logger}
	s.workers, err = cache.New(cache.Config{
		Topology: members, Identity: identity, Masters: s.masters, ViewFile: filepath.Join(o.stateDir, "view"),
		SocketDir: o.socketDir, MountState: s.mount.state, Logger: logger,
	})
	if err != nil {
		return nil, s.close(err)
	}
	s.files, err = reader.New(readerConfig(o, s.workers, s.sockets, logger, registry))
	if err != nil {
		return nil, s.close(err)
	}
	s.mount.workers, s.mount.source = s.workers, source{s.files}
	return s, nil
}

// close closes everything that newServer has created, and returns err joined with
// the errors of closing.
func (s *server) close(err error) error {
	if s.files != nil {
		err = errors.Join(err, s.files.Close())
	}
	err = errors.Join(err, s.sockets.Close())
	if s.workers != nil {
		err = errors.Join(err, s.workers.Close())
	}
	s.masters.Close()
	return err
}
