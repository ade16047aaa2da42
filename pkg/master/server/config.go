package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Consensus is what the server needs of a member. Its errors are those of
// package consensus: NotLeaderError and ErrUnknownOutcome.
type Consensus interface {
	// Propose returns what the state machine answered, and the index.
	Propose(ctx context.Context, entry []byte) (any, uint64, error)
	// ReadIndex returns once the state is at least as new as everything
	// acknowledged before the call.
	ReadIndex(ctx context.Context) (uint64, error)
	// Leader is the name of the member believed to lead, and its term.
	Leader() (string, uint64)
	Status() *masterv1.StatusResponse
	Transfer(ctx context.Context, to string) (string, error)
	Describe() *masterv1.DescribeResponse
	AddMember(ctx context.Context, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error)
	// Reason says why this member is in no cluster yet; empty when it is.
	Reason() string
}

var _ Consensus = (*consensus.Node)(nil)

// DefaultWorkerAbsence is after how long without a heartbeat a worker leaves
// the ring.
const DefaultWorkerAbsence = 10 * time.Minute

// Config of a server.
type Config struct {
	// Name of this master in the roster.
	Name      string
	Topology  topology.Topology
	Identity  *mtls.Identity
	Consensus Consensus
	State     *state.Machine
	// WorkerAbsence is DefaultWorkerAbsence when 0.
	WorkerAbsence time.Duration
	// Logger and Registry may be nil.
	Logger   *slog.Logger
	Registry prometheus.Registerer
	// Fatal ends the process: this master serves another cluster than its
	// disk belongs to.
	Fatal func(error)

	// tick of the caretaker; tests set it.
	tick time.Duration
}

func (c *Config) normalize() error {
	if c.WorkerAbsence == 0 {
		c.WorkerAbsence = DefaultWorkerAbsence
	}
	if c.tick == 0 {
		c.tick = 100 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Name == "":
		return errors.New("the master has no name")
	case c.Topology.ClusterID == "":
		return errors.New("the roster has no clusterID")
	case c.Consensus == nil || c.State == nil || c.Fatal == nil:
		return errors.New("Consensus, State and Fatal must be given")
	case c.Identity == nil:
		return errors.New("no identity is given")
	case c.WorkerAbsence < 0:
		return errors.New("the time after which an absent worker is removed must be positive")
	}
	return nil
}
