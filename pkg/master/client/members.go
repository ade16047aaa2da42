package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// HeartbeatResult is one master's answer to a heartbeat.
type HeartbeatResult struct {
	Member topology.Member
	// Response is nil when Err is not.
	Response *masterv1.HeartbeatResponse
	Err      error
}

// MemberResult is what one master says of itself.
type MemberResult struct {
	Member topology.Member
	// Status is nil when Err is not.
	Status *masterv1.StatusResponse
	Err    error
	// RTT is how long the answer, or the failure, took.
	RTT time.Duration
}

// Heartbeat tells every master, in parallel and each with a deadline of its
// own, how the worker is. Answers are in the order of the roster.
func (c *Client) Heartbeat(ctx context.Context, report *commonv1.WorkerReport, clusterID string) []HeartbeatResult {
	request := &masterv1.HeartbeatRequest{Report: report, ClusterId: clusterID}
	results := make([]HeartbeatResult, len(c.members))
	c.each(ctx, attemptTimeout, func(ctx context.Context, i int, m *member) {
		results[i].Member = m.Member
		answer, err := masterv1.NewReportsClient(m.conn).Heartbeat(ctx, request)
		if err != nil {
			_, _, refusal := classify(err, true)
			results[i].Err = fmt.Errorf("reporting to %s: %w", m.Name, refusal)
			return
		}
		results[i].Response = answer
	})
	return results
}

// Members asks every master, in parallel and each with a deadline of its own,
// how it is. Answers are in the order of the roster.
func (c *Client) Members(ctx context.Context) []MemberResult {
	results := make([]MemberResult, len(c.members))
	c.each(ctx, memberTimeout, func(ctx context.Context, i int, m *member) {
		results[i].Member = m.Member
		start := time.Now()
		answer, err := masterv1.NewMemberClient(m.conn).Status(ctx, &masterv1.StatusRequest{})
		results[i].RTT = time.Since(start)
		if err != nil {
			s := status.Convert(err)
			results[i].Err = &RefusedError{Code: s.Code(), Message: s.Message()}
			return
		}
		results[i].Status = answer
	})
	return results
}

// each runs a call at every master and waits for all of them.
func (c *Client) each(ctx context.Context, timeout time.Duration, call func(ctx context.Context, i int, m *member)) {
	var wait sync.WaitGroup
	for i, m := range c.members {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			m.conn.ResetConnectBackoff()
			call(ctx, i, m)
		})
	}
	wait.Wait()
}

// Transfer hands leadership to the master named, or to the one most caught up
// when to is empty, and returns who leads then. It is tried at one leader only:
// asking again would move leadership again.
func (c *Client) Transfer(ctx context.Context, to string) (string, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var answer *masterv1.TransferLeadershipResponse
	asked := false
	e := c.call(ctx, func(attempt context.Context, conn *grpc.ClientConn) error {
		if asked {
			return errAsked
		}
		// Handing over takes longer than an ordinary attempt may.
		long, cancel := context.WithDeadline(context.WithoutCancel(attempt), minTime(deadline, time.Now().Add(transferTimeout)))
		defer cancel()
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		var err error
		answer, err = masterv1.NewMemberClient(conn).TransferLeadership(long, &masterv1.TransferLeadershipRequest{To: to})
		v, _, _ := classify(err, wasSent(attempt))
		asked = v == unknown
		return err
	})
	err := e.failure()
	if err != nil && e.uncertain {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	if err != nil {
		return "", fmt.Errorf("handing leadership over: %w", err)
	}
	return answer.GetLeader(), nil
}

// errAsked ends a call that must not be repeated.
var errAsked = status.Error(9, "leadership was asked for already, and the answer did not come") // FAILED_PRECONDITION

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
