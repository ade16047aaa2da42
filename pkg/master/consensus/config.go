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
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// StateMachine is the state machine that the log drives.
type StateMachine interface {
	// Apply executes the command of a log entry. It is pure: the same state and
	// command give the same state and result on every member. It is called in
	// log order, from one goroutine, and must not retain command. An error that
	// wraps ErrNewerFormat means that the command, and everything after it, must
	// not be applied by this version; see fsm.halt.
	Apply(index uint64, command []byte) any
	// Snapshot returns an immutable view of the state, in constant time. No
	// command is applied while it runs.
	Snapshot() Snapshot
	// Restore replaces the state by one that WriteTo wrote. It must build the
	// new state aside and swap it in only when it is complete and r returned
	// io.EOF; after an error the old state remains. An error may wrap
	// ErrNewerFormat.
	Restore(r io.Reader) error
	// BeginEpoch makes the state the one after the entry at an index, which begins an
	// epoch of the cluster. Entries that led to states which clients have seen may be
	// lost: what clients compare with what they have must be newer than all of it.
	BeginEpoch(index uint64) error
}

// Snapshot is an immutable view of a StateMachine. WriteTo may run while
// commands are applied.
type Snapshot interface {
	WriteTo(w io.Writer) (int64, error)
	Release()
}

// Peers sends the requests between members that are made before and outside
// Raft. Calls take their deadline from ctx.
type Peers interface {
	Describe(ctx context.Context, to topology.Member, request *masterv1.DescribeRequest) (*masterv1.DescribeResponse, error)
	Join(ctx context.Context, to topology.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error)
}

// Default durations of a Config.
const (
	DefaultHeartbeat   = 250 * time.Millisecond
	DefaultElection    = 250 * time.Millisecond
	DefaultLease       = 200 * time.Millisecond
	DefaultDiskTimeout = 5 * time.Second
	// DefaultStabilization delays only the vote of a new member.
	DefaultStabilization = 2 * time.Second
)

// Config is the configuration of a member.
type Config struct {
	// Name is the name of this member in the topology.
	Name string
	// DataDir is used by this member only.
	DataDir string
	// ClusterID is generated once for the runtime.
	ClusterID string
	// Formed reports whether the cluster was formed before, as far as the
	// process that started this member knows. Such a cluster must not be formed
	// again.
	Formed bool
	// Topology lists the masters that the cluster shall have. Node.SetTopology
	// replaces it.
	Topology topology.Topology
	// Identity is a certificate with the role master and the name Name.
	Identity *mtls.Identity
	// RaftListen is the address to listen on: host:port.
	RaftListen string
	// Connections limits those of the Raft port; Limits when zero.
	Connections netlimit.Limits
	// Addresses have reserved slots at the Raft port. It may be nil.
	Addresses *netlimit.Addresses
	// Heartbeat is how long a follower waits for its leader, Election how long
	// a candidate waits for votes, Lease how long a leader continues without a
	// majority. Lease <= Heartbeat <= Election.
	Heartbeat, Election, Lease time.Duration
	// Stabilization is for how long a new member of a cluster in use must have been
	// caught up before it gets a vote.
	Stabilization time.Duration
	// DiskTimeout is how long one write may take before the disk counts as
	// hung. Time during which the process was paused does not count.
	DiskTimeout time.Duration
	// Format is the newest format of commands that the state machine can apply;
	// 1 when 0. See Node.Format.
	Format uint32
	Peers  Peers
	// NewState returns an empty state machine for Node.Recover, which returns an error
	// without it.
	NewState func() (StateMachine, error)
	// Logger may be nil.
	Logger *slog.Logger
	// Registry registers the metrics. It may be nil.
	Registry prometheus.Registerer
	// Fatal ends the process, because this member must not continue. It is
	// called at most once, and should not return.
	Fatal func(error)

	// hooks and sizes are set only by tests of this package.
	hooks hooks
	sizes sizes
}

// hooks wrap the transport and the disk that Raft uses.
type hooks struct {
	transport func(raft.Transport) raft.Transport
	disk      func(disk) disk
	// leaderWait replaces the constant, stay the duration of Node.stay.
	leaderWait, stay time.Duration
	// measure replaces fileSystem.
	measure func(dir string) (size, free uint64, err error)
}

// sizes control when the log is compacted.
type sizes struct {
	// trailing is how many entries, and trailingBytes how many bytes of them,
	// remain at most after a snapshot, for followers that are behind.
	trailing      uint64
	trailingBytes int
	// A snapshot is taken after threshold entries, or bytes, since the last
	// one. interval is how often this is checked.
	threshold uint64
	bytes     int64
	interval  time.Duration
}

const (
	// MaxCommand is the maximum size of a command, in bytes. One request that
	// replicates carries at least one command.
	MaxCommand = 4 << 20
	// maxAppendEntries is how many entries the library reads for one request to
	// a peer. Those beyond maxAppendBytes are dropped from it, and most are
	// found in the cache the next time.
	maxAppendEntries = 64
	snapshotsKept    = 2
	// minProgressLimit is the least time for which a follower stays ready
	// without progress.
	minProgressLimit = 3 * time.Second
	commitTimeout    = 10 * time.Millisecond
	// followInterval is the least time after which an idle leader repeats the
	// commit index to its followers, the most is twice that. Nothing that a client
	// waits for depends on it: the leader applies an entry when a majority has it,
	// and a new leader applies everything before it serves. A follower that has
	// started is not ready before it has received the index.
	followInterval = 100 * time.Millisecond
	// transportTimeout bounds each request. A peer that died without closing
	// its connections costs this much on each pooled connection.
	transportTimeout = 2 * time.Second
	transportPool    = 3
)

// normalize sets the defaults and validates the configuration.
func (c *Config) normalize() error {
	setDefault(&c.Heartbeat, DefaultHeartbeat)
	setDefault(&c.Election, max(DefaultElection, c.Heartbeat))
	setDefault(&c.Lease, min(DefaultLease, c.Heartbeat))
	setDefault(&c.Stabilization, DefaultStabilization)
	setDefault(&c.DiskTimeout, DefaultDiskTimeout)
	setDefault(&c.Format, 1)
	setDefault(&c.sizes.interval, 10*time.Second)
	setDefault(&c.sizes.trailing, 10240)
	setDefault(&c.sizes.trailingBytes, 64<<20)
	setDefault(&c.sizes.threshold, 8192)
	setDefault(&c.sizes.bytes, 64<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c.validate()
}

func (c *Config) validate() error {
	switch {
	case c.Name == "":
		return errors.New("member name is empty")
	case len(c.Topology.Masters) == 0:
		return errors.New("the topology lists no masters")
	case c.DataDir == "":
		return errors.New("data directory is empty")
	case c.ClusterID == "":
		return errors.New("cluster id is empty")
	case len(c.ClusterID) > maxName:
		return fmt.Errorf("cluster id is longer than %d bytes", maxName)
	case c.Identity == nil:
		return errors.New("identity is missing")
	case c.Identity.Peer() != mtls.Peer{Role: mtls.Master, Name: c.Name}:
		return fmt.Errorf("certificate belongs to %s, not to %s", c.Identity.Peer(), mtls.Peer{Role: mtls.Master, Name: c.Name})
	case c.Peers == nil || c.Fatal == nil:
		return errors.New("Peers and Fatal must be set")
	case c.Lease > c.Heartbeat || c.Heartbeat > c.Election:
		return fmt.Errorf("invalid timeouts: lease %s, heartbeat %s and election %s must be in ascending order", c.Lease, c.Heartbeat, c.Election)
	}
	return nil
}

func setDefault[T comparable](d *T, value T) {
	var zero T
	if *d == zero {
		*d = value
	}
}

// raft returns the configuration of the Raft library. The constants above state
// the reasons.
func (c *Config) raft(id raft.ServerID) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = id
	config.HeartbeatTimeout = c.Heartbeat
	config.ElectionTimeout = c.Election
	config.LeaderLeaseTimeout = c.Lease
	config.CommitTimeout = min(followInterval, c.Heartbeat)
	config.MaxAppendEntries = maxAppendEntries
	config.BatchApplyCh = true
	config.ShutdownOnRemove = false
	config.TrailingLogs = minTrail
	config.SnapshotInterval = c.sizes.interval
	config.SnapshotThreshold = c.sizes.threshold
	config.NoLegacyTelemetry = true
	config.PreVoteDisabled = false
	config.Logger = newRaftLogger(c.Logger)
	return config
}
