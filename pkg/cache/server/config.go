package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/prometheus/client_golang/prometheus"
)

// Masters is what a worker asks of them. Every call may fail for as long as no
// master answers.
type Masters interface {
	// View reads the state of the cluster.
	View(ctx context.Context) (*commonv1.ClusterView, error)
	// RegisterWorker puts this worker into the ring, or refreshes its place.
	RegisterWorker(ctx context.Context, member *commonv1.RingMember, clusterID string) (*commonv1.ClusterView, error)
	// Heartbeat tells every master, each with its own deadline.
	Heartbeat(ctx context.Context, report *commonv1.WorkerReport, clusterID string) []Heard
}

// Heard is one master's answer to a heartbeat.
type Heard struct {
	Master string
	Err    error
	// ViewIndex this master has applied.
	ViewIndex  uint64
	Registered bool
}

// StoreOpener opens the under-storage of a mount.
type StoreOpener func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error)

// Config of a worker. Zero durations and limits mean the defaults named.
type Config struct {
	// Name of the worker, Host and Port where others reach it.
	Name string
	Host string
	Port int
	// ClusterID of the roster; empty takes the one that a master says.
	ClusterID string
	// Listen address of the HTTPS and gRPC port.
	Listen   string
	Identity *mtls.Identity
	// DataDir keeps the worker's id and the view.
	DataDir string
	// SocketDir holds the socket on which sealed files are passed; empty
	// passes none.
	SocketDir string
	// SocketGroup may connect to it too, for servers of mounts that run as
	// another user than the worker; 0 is none.
	SocketGroup int
	Masters     Masters
	Directory   Directory
	OpenStore   StoreOpener
	Blocks      *blockstore.Store

	// Heartbeat interval: 2 s.
	Heartbeat time.Duration
	// RequestTimeout until the first byte is on its way: 60 s.
	RequestTimeout time.Duration
	// WriteTimeout for each 256 KiB that a reader takes: 30 s.
	WriteTimeout time.Duration
	// PeerTimeout until a previous owner has answered headers: 1 s.
	PeerTimeout time.Duration
	// MaxRequests for bytes at once; more wait, then are throttled: 512.
	MaxRequests int
	// GracePeriod in which requests may finish after the context ends: 5 s.
	GracePeriod time.Duration
	Logger      *slog.Logger
	Registry    prometheus.Registerer
}

func (c Config) withDefaults() Config {
	wait := func(p *time.Duration, value time.Duration) {
		if *p == 0 {
			*p = value
		}
	}
	wait(&c.Heartbeat, 2*time.Second)
	wait(&c.RequestTimeout, time.Minute)
	wait(&c.WriteTimeout, 30*time.Second)
	wait(&c.PeerTimeout, time.Second)
	wait(&c.GracePeriod, 5*time.Second)
	if c.MaxRequests == 0 {
		c.MaxRequests = 512
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("starting worker: it has no name")
	case c.Identity == nil || c.Masters == nil || c.Directory == nil || c.OpenStore == nil || c.Blocks == nil:
		return fmt.Errorf("starting worker %s: a part it needs is missing", c.Name)
	case c.Identity.Peer() != mtls.Peer{Role: mtls.Worker, Name: c.Name}:
		return fmt.Errorf("starting worker %s: its certificate is of %s; give it the identity issued for worker/%s", c.Name, c.Identity.Peer(), c.Name)
	case c.DataDir == "":
		return fmt.Errorf("starting worker %s: it has no data directory", c.Name)
	}
	return nil
}
