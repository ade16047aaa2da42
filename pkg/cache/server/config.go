package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Masters is the part of the masters' API that a worker uses. Every call may
// fail while no master is reachable.
type Masters interface {
	// View returns the state of the cluster.
	View(ctx context.Context) (*commonv1.ClusterView, error)
	// RegisterWorker adds this worker to the ring, or updates its entry.
	RegisterWorker(ctx context.Context, member *commonv1.RingMember, clusterID string) (*commonv1.ClusterView, error)
	// Heartbeat sends the report to every master, each with its own deadline.
	Heartbeat(ctx context.Context, report *commonv1.WorkerReport, clusterID string) []HeartbeatResult
}

// HeartbeatResult is one master's response to a heartbeat.
type HeartbeatResult struct {
	Master string
	Err    error
	// ViewIndex is the index of the newest view that the master has applied.
	ViewIndex  uint64
	Registered bool
}

// Limits are those of the port. A reader has one connection for each range that
// it requests, and all FUSE servers of a runtime have one certificate.
func Limits() netlimit.Limits {
	return netlimit.Limits{
		Pending: 1024, PerAddress: 256, Reserved: 64, Handshake: 5 * time.Second,
		Open: 16384, PerOwner: 8192, PerOwnerAddress: 1024,
	}
}

// LocalLimits are those of the socket for bytes. The kernel has checked the user of
// every peer.
func LocalLimits() netlimit.Limits {
	return netlimit.Limits{
		Pending: 256, PerAddress: 256, Handshake: 5 * time.Second, Open: 4096, PerOwner: 4096, PerOwnerAddress: 4096,
	}
}

// StoreOpener opens the object store of a mount.
type StoreOpener func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error)

// Config is the configuration of a worker. Zero durations and limits mean the
// defaults given.
type Config struct {
	// Name of the worker; Host and Port are its address for other processes.
	Name string
	Host string
	Port int
	// ClusterID of the topology; if empty, the one that a master returns.
	ClusterID string
	// Listen address of the HTTPS and gRPC port.
	Listen   string
	Identity *mtls.Identity
	// Connections limits those of the port; Limits when zero.
	Connections netlimit.Limits
	// LocalConnections limits those of the socket for bytes; LocalLimits when zero.
	LocalConnections netlimit.Limits
	// Addresses have reserved slots at the port. It may be nil.
	Addresses *netlimit.Addresses
	// DataDir stores the worker's id and the view.
	DataDir string
	// SocketDir holds the sockets for processes on this host: the one on which
	// sealed files are lent, and the one for bytes. There are none if it is empty.
	SocketDir string
	// SocketGroup is the id of a group that may connect to the sockets too, for
	// FUSE servers that run as another user than the worker; 0 is none.
	SocketGroup int
	Masters     Masters
	Directory   Directory
	OpenStore   StoreOpener
	// CredentialsRevision returns the revision of the credentials that OpenStore would
	// read; nil if they have none. It is called with every heartbeat.
	CredentialsRevision func() uint64
	Blocks              *blockstore.Store
	// Snapshots returns the schedule of snapshots of the worker's topology, which may
	// change; nil for none.
	Snapshots func() *topology.SnapshotSchedule

	// Heartbeat is the interval of heartbeats: 2 s.
	Heartbeat time.Duration
	// RequestTimeout bounds the time until the first byte is available: 60 s.
	RequestTimeout time.Duration
	// WriteTimeout bounds each write of up to 256 KiB to a reader, and how long
	// the request of a gRPC call may take to arrive: 30 s.
	WriteTimeout time.Duration
	// PeerTimeout bounds the wait for the header of a previous owner: 1 s.
	PeerTimeout time.Duration
	// MaxRequests for bytes are served concurrently, 512; others wait, then
	// fail as throttled. Requests that wait for a store do not count.
	MaxRequests int
	// MaxParked requests of one mount wait for its store, 1024; others fail as
	// throttled.
	MaxParked int
	// StoreRequests is the number of concurrent GETs to the store of one mount,
	// 256; others wait.
	StoreRequests int
	// GracePeriod is the time for requests to finish after the context ends:
	// 5 s.
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
	for limit, value := range map[*int]int{&c.MaxRequests: 512, &c.MaxParked: 1024, &c.StoreRequests: 256} {
		if *limit == 0 {
			*limit = value
		}
	}
	if c.Connections == (netlimit.Limits{}) {
		c.Connections = Limits()
	}
	if c.LocalConnections == (netlimit.Limits{}) {
		c.LocalConnections = LocalLimits()
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
		return fmt.Errorf("start worker: the name is missing")
	case c.Identity == nil || c.Masters == nil || c.Directory == nil || c.OpenStore == nil || c.Blocks == nil:
		return fmt.Errorf("start worker %s: a required part of the configuration is missing", c.Name)
	case c.Identity.Peer() != mtls.Peer{Role: mtls.Worker, Name: c.Name}:
		return fmt.Errorf("start worker %s: the certificate is for %s: use the identity issued for worker/%s", c.Name, c.Identity.Peer(), c.Name)
	case c.DataDir == "":
		return fmt.Errorf("start worker %s: the data directory is missing", c.Name)
	}
	return nil
}
