package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// HeartbeatResult is the response of one master to a heartbeat.
type HeartbeatResult struct {
	Member topology.Member
	// Response is nil when Err is set.
	Response *masterv1.HeartbeatResponse
	Err      error
}

// MemberResult is the status of one master, as it reports it.
type MemberResult struct {
	Member topology.Member
	// Status is nil when Err is set.
	Status *masterv1.StatusResponse
	Err    error
	// RTT is how long the response, or the error, took.
	RTT time.Duration
}

// Heartbeat reports the state of the worker to every master, in parallel and
// each with a deadline of its own. The results are in the order of the
// topology.
func (c *Client) Heartbeat(ctx context.Context, report *commonv1.WorkerReport, clusterID string) []HeartbeatResult {
	request := &masterv1.HeartbeatRequest{Report: report, ClusterId: clusterID}
	members := c.members.all()
	results := make([]HeartbeatResult, len(members))
	each(ctx, members, attemptTimeout, func(ctx context.Context, i int, m *member) {
		results[i].Member = m.Member
		response, err := masterv1.NewReportsClient(m.conn).Heartbeat(ctx, request)
		if err != nil {
			_, _, refusal := classify(err, true)
			results[i].Err = fmt.Errorf("report to %s: %w", m.Name, refusal)
			return
		}
		results[i].Response = response
	})
	return results
}

// Members requests the status of every master, in parallel and each with a
// deadline of its own. The results are in the order of the topology.
func (c *Client) Members(ctx context.Context) []MemberResult {
	members := c.members.all()
	results := make([]MemberResult, len(members))
	each(ctx, members, memberTimeout, func(ctx context.Context, i int, m *member) {
		results[i].Member = m.Member
		start := time.Now()
		response, err := masterv1.NewMemberClient(m.conn).Status(ctx, &masterv1.StatusRequest{})
		results[i].RTT = time.Since(start)
		if err != nil {
			s := status.Convert(err)
			results[i].Err = &RefusedError{Code: s.Code(), Message: s.Message()}
			return
		}
		results[i].Status = response
	})
	return results
}

// each makes a call at every master and waits for all of them.
func each(ctx context.Context, members []*member, timeout time.Duration, call func(ctx context.Context, i int, m *member)) {
	var wait sync.WaitGroup
	for i, m := range members {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			mtls.Reconnect(m.conn)
			call(ctx, i, m)
		})
	}
	wait.Wait()
}

// Transfer transfers leadership to the named master, or to the one most caught
// up when to is empty, and returns the name of the leader then. It is tried at
// one leader only, because a second request would move leadership again.
func (c *Client) Transfer(ctx context.Context, to string) (string, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var response *masterv1.TransferLeadershipResponse
	requested := false
	e := c.call(ctx, func(attempt context.Context, conn *grpc.ClientConn) error {
		if requested {
			return errRequested
		}
		// A transfer takes longer than an ordinary attempt may.
		long, cancel := context.WithDeadline(context.WithoutCancel(attempt), minTime(deadline, time.Now().Add(transferTimeout)))
		defer cancel()
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		var err error
		response, err = masterv1.NewMemberClient(conn).TransferLeadership(long, &masterv1.TransferLeadershipRequest{To: to})
		v, _, _ := classify(err, wasSent(attempt))
		requested = v == unknown
		return err
	})
	err := e.failure()
	if err != nil && e.uncertain {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	if err != nil {
		return "", fmt.Errorf("transfer leadership: %w", err)
	}
	return response.GetLeader(), nil
}

// errRequested ends a call that must not be repeated.
var errRequested = status.Error(9, "the transfer was requested before, and its response was lost") // FAILED_PRECONDITION

func wasSent(ctx context.Context) bool {
	s, ok := ctx.Value(sentKey{}).(*sent)
	return ok && s.get()
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
