package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// StateMachine is what the log drives.
type StateMachine interface {
	// Apply executes the command of a log entry. It is pure: the same state
	// and command give the same state and result on every member. It is
	// called in log order, from one goroutine, and must not keep command.
	Apply(index uint64, command []byte) any
	// Snapshot is an immutable view of the state, made in constant time: no
	// command is applied meanwhile.
	Snapshot() Snapshot
	// Restore replaces the state by one that WriteTo wrote. It is built aside
	// and swapped in only when it is complete and r ended with io.EOF; on an
	// error the old state stays.
	Restore(r io.Reader) error
}

// Snapshot of a StateMachine. WriteTo may run while commands are applied.
type Snapshot interface {
	WriteTo(w io.Writer) (int64, error)
	Release()
}

// Peers is how one member calls another before and outside Raft. Calls take
// their deadline from ctx.
type Peers interface {
	Describe(ctx context.Context, to topology.Member) (*masterv1.DescribeResponse, error)
	Join(ctx context.Context, to topology.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error)
}

// Times that a Config gets when it names none.
const (
	DefaultHeartbeat   = 250 * time.Millisecond
	DefaultElection    = 250 * time.Millisecond
	DefaultLease       = 200 * time.Millisecond
	DefaultDiskTimeout = 5 * time.Second
)

// Config of a member.
type Config struct {
	// Name of this member in the roster.
	Name string
	// DataDir belongs to this member alone.
	DataDir string
	// ClusterID is minted once for the runtime.
	ClusterID string
	// Formed is what whoever started this member knows: that the cluster has
	// been formed before, so that it must not be formed again.
	Formed   bool
	Topology topology.Topology
	// Identity is a certificate of role master in Name's name.
	Identity *mtls.Identity
	// RaftListen is the address to listen on: host:port.
	RaftListen string
	// Heartbeat is how long a follower waits for its leader, Election how
	// long a candidate waits for votes, Lease how long a leader goes on
	// without a majority. Lease <= Heartbeat <= Election.
	Heartbeat, Election, Lease time.Duration
	// DiskTimeout is how long one write may take before the disk counts as
	// hung. Time in which the process was stopped does not count.
	DiskTimeout time.Duration
	Peers       Peers
	// Logger may be nil.
	Logger *slog.Logger
	// Registry for metrics may be nil.
	Registry prometheus.Registerer
	// Fatal ends the process: this member must not go on. It is called at
	// most once, and should not return.
	Fatal func(error)

	// hooks and sizes are set by this package's tests only.
	hooks hooks
	sizes sizes
}

// hooks put something between Raft and what it talks to.
type hooks struct {
	transport func(raft.Transport) raft.Transport
	disk      func(disk) disk
}

// sizes say when the log is compacted.
type sizes struct {
	// trailing entries stay behind a snapshot, for followers that are slow.
	trailing uint64
	// threshold entries, or bytes, since the last snapshot make one due;
	// interval is how often that is looked at.
	threshold uint64
	bytes     int64
	interval  time.Duration
}

const (
	maxAppendEntries = 512
	logCacheEntries  = 512
	snapshotsKept    = 2
	commitTimeout    = 10 * time.Millisecond
	// transportTimeout bounds each request: a peer that died without a word
	// costs this much on each pooled connection.
	transportTimeout = 2 * time.Second
	transportPool    = 3
)

// normalize fills in what is left out and reports what is wrong.
func (c *Config) normalize() error {
	setDefault(&c.Heartbeat, DefaultHeartbeat)
	setDefault(&c.Election, max(DefaultElection, c.Heartbeat))
	setDefault(&c.Lease, min(DefaultLease, c.Heartbeat))
	setDefault(&c.DiskTimeout, DefaultDiskTimeout)
	setDefault(&c.sizes.interval, 10*time.Second)
	if c.sizes.trailing == 0 {
		c.sizes.trailing = 10240
	}
	if c.sizes.threshold == 0 {
		c.sizes.threshold = 8192
	}
	if c.sizes.bytes == 0 {
		c.sizes.bytes = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c.validate()
}

func (c *Config) validate() error {
	switch _, listed := c.Topology.Master(c.Name); {
	case c.Name == "":
		return errors.New("this member has no name")
	case !listed:
		return fmt.Errorf("this member, %s, is not among the masters of the roster", c.Name)
	case c.DataDir == "":
		return errors.New("no data directory is given")
	case c.ClusterID == "":
		return errors.New("no cluster id is given")
	case len(c.ClusterID) > maxName:
		return fmt.Errorf("the cluster id is longer than %d bytes", maxName)
	case c.Identity == nil:
		return errors.New("no identity is given")
	case c.Identity.Peer() != mtls.Peer{Role: mtls.Master, Name: c.Name}:
		return fmt.Errorf("the certificate is %s's, not %s's", c.Identity.Peer(), mtls.Peer{Role: mtls.Master, Name: c.Name})
	case c.Peers == nil || c.Fatal == nil:
		return errors.New("Peers and Fatal must be given")
	case c.Lease > c.Heartbeat || c.Heartbeat > c.Election:
		return fmt.Errorf("lease %s, heartbeat %s and election timeout %s must not be in another order of size than this", c.Lease, c.Heartbeat, c.Election)
	}
	return nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// raft is the library's configuration: see the constants for the reasons.
func (c *Config) raft(id raft.ServerID) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = id
	config.HeartbeatTimeout = c.Heartbeat
	config.ElectionTimeout = c.Election
	config.LeaderLeaseTimeout = c.Lease
	config.CommitTimeout = commitTimeout
	config.MaxAppendEntries = maxAppendEntries
	config.BatchApplyCh = true
	config.ShutdownOnRemove = false
	config.TrailingLogs = c.sizes.trailing
	config.SnapshotInterval = c.sizes.interval
	config.SnapshotThreshold = c.sizes.threshold
	config.NoLegacyTelemetry = true
	config.PreVoteDisabled = false
	config.Logger = newRaftLogger(c.Logger)
	return config
}
