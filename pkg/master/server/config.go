package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Consensus is the part of a member that the server uses. Its errors are those
// of package consensus: NotLeaderError and ErrUnknownOutcome.
type Consensus interface {
	// ProposeNotify returns the result of the state machine, and the index. It
	// calls appended once: when the entry is in the log of this member, or when
	// the call ends.
	ProposeNotify(ctx context.Context, entry []byte, appended func()) (any, uint64, error)
	// ReadIndex returns once the state is at least as new as everything
	// acknowledged before the call.
	ReadIndex(ctx context.Context) (uint64, error)
	// Leader returns the name of the leader as far as the member knows, and the
	// term.
	Leader() (string, uint64)
	Status() *masterv1.StatusResponse
	// Format returns the newest format of entries that every member can apply.
	Format() uint32
	Transfer(ctx context.Context, to string) (string, error)
	Describe(request *masterv1.DescribeRequest) *masterv1.DescribeResponse
	AddMember(ctx context.Context, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error)
	Recover(ctx context.Context, confirm bool, seen uint64) (*masterv1.RecoverResponse, error)
	// Restore takes over a verified state after the entry at an index, and returns the
	// epoch.
	Restore(ctx context.Context, state consensus.StateMachine, index, seen uint64) (uint64, error)
	RemoveMember(ctx context.Context, member string) (string, error)
	// Checksums fills the response of the call of that name, except the digests.
	Checksums(ctx context.Context, first, last uint64) (*masterv1.ChecksumsResponse, error)
	// RecordVerification keeps the result of a comparison of all members for Status.
	RecordVerification(result *masterv1.Verification) error
	// Topology lists the masters that the cluster shall have, as far as this
	// member knows. It may change.
	Topology() topology.Topology
	// Admits reports whether a master is listed there, or still a member.
	Admits(name string) bool
	// Reason returns why this member is not ready, or accepts no commands; empty
	// when it does.
	Reason() string
}

var _ Consensus = (*consensus.Node)(nil)

// DefaultWorkerAbsence is how long a worker may send no heartbeat before it is
// removed from the ring.
const DefaultWorkerAbsence = 10 * time.Minute

// DefaultStripeSize is the stripe size of a new cluster: parts of this size of an
// object are placed on the workers on their own.
const DefaultStripeSize = 256 << 20

// stripeUnit is what a stripe size is a multiple of: the block size of the workers.
const stripeUnit = 1 << 20

// Limits are those of the gRPC port. All FUSE servers of a runtime have one
// certificate, and connect from one address a node or pod.
func Limits() netlimit.Limits {
	return netlimit.Limits{
		Pending: 1024, PerAddress: 128, Reserved: 64, Handshake: 5 * time.Second,
		Open: 8192, PerOwner: 4096, PerOwnerAddress: 128,
	}
}

// Config is the configuration of a server.
type Config struct {
	// Name is the name of this master in the topology.
	Name string
	// Topology is the one that this master starts with. Its cluster id never
	// changes.
	Topology  topology.Topology
	Identity  *mtls.Identity
	Consensus Consensus
	State     *state.Machine
	// WorkerAbsence is how long a worker may send no heartbeat before it is
	// removed from the ring; DefaultWorkerAbsence when 0.
	WorkerAbsence time.Duration
	// StripeSize is the stripe size of a cluster that this master forms, in bytes;
	// DefaultStripeSize when 0, and whole objects when negative. A cluster that
	// exists keeps its own.
	StripeSize int64
	// Connections limits those of the gRPC port; Limits when zero.
	Connections netlimit.Limits
	// Addresses have reserved slots at the gRPC port. It may be nil.
	Addresses *netlimit.Addresses
	// Logger and Registry may be nil.
	Logger   *slog.Logger
	Registry prometheus.Registerer
	// Now returns the time of commands; time.Now when nil. It may jump.
	Now func() time.Time
	// Snapshots returns the schedule of snapshots of the newest topology, which may
	// change; nil for none. It may be nil.
	Snapshots func() *topology.SnapshotSchedule
	// Fatal ends the process, because its disk belongs to another cluster.
	Fatal func(error)

	// tick is the interval of the leader loop; only tests set it.
	tick time.Duration
}

func (c *Config) normalize() error {
	if c.WorkerAbsence == 0 {
		c.WorkerAbsence = DefaultWorkerAbsence
	}
	if c.StripeSize == 0 {
		c.StripeSize = DefaultStripeSize
	}
	if c.tick == 0 {
		c.tick = 100 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Connections == (netlimit.Limits{}) {
		c.Connections = Limits()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.StripeSize > 0 && c.StripeSize%stripeUnit != 0:
		return fmt.Errorf("stripe size %d: must be a multiple of %d bytes, or negative for whole objects", c.StripeSize, stripeUnit)
	case c.Name == "":
		return errors.New("master name is empty")
	case c.Topology.ClusterID == "":
		return errors.New("the topology has no clusterID")
	case c.Consensus == nil || c.State == nil || c.Fatal == nil:
		return errors.New("Consensus, State and Fatal must be set")
	case c.Identity == nil:
		return errors.New("identity is missing")
	case c.WorkerAbsence < 0:
		return errors.New("WorkerAbsence must be positive")
	}
	return nil
}
