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

// server is everything that serving one mount takes.
type server struct {
	roster  topology.Topology
	masters *client.Client
	workers *cache.Client
	sockets *reader.Sockets
	files   *reader.Reader
	mount   *mount
}

func newServer(o options, logger *slog.Logger, registry prometheus.Registerer) (*server, error) {
	if o.stateDir == "" || o.sessionSocket == "" {
		return nil, errors.New("--state-dir and --session-socket must be given")
	}
	who, err := topology.Load(o.roster)
	if err != nil {
		return nil, err
	}
	identity, err := mtls.LoadIdentityOf(o.tlsDir, o.name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	s := &server{roster: who, sockets: reader.NewSockets(o.socketDir)}
	s.masters, err = client.New(client.Config{Topology: who, Identity: identity, Holder: "fuse " + o.name, Logger: logger})
	if err != nil {
		return nil, err
	}
	s.workers, err = cache.New(cache.Config{
		Topology: who, Identity: identity, Masters: s.masters, ViewFile: filepath.Join(o.stateDir, "view"), Logger: logger,
	})
	if err != nil {
		return nil, s.close(err)
	}
	s.files, err = reader.New(readerConfig(o, s.workers, s.sockets, logger, registry))
	if err != nil {
		return nil, s.close(err)
	}
	s.mount = &mount{
		options: o, workers: s.workers, masters: len(who.Masters) > 0, source: source{s.files}, registry: registry, log: logger,
	}
	return s, nil
}

// close everything that there is, and answer err with what went wrong.
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
