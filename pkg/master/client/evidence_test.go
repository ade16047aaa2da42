package client

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/rpc/message"
	"github.com/jindo-io/jindo/pkg/topology"
)

// evidence is an attempt, and whether a master is tried last after it.
type evidence struct {
	attempt func(context.Context) error
	timeout time.Duration
	cancel  time.Duration
	failing bool
}

// TestEvidence checks which ends of an attempt make a master be tried last.
func TestEvidence(t *testing.T) {
	conn, err := grpc.NewClient("passthrough:///127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fails := func(err error) func(context.Context) error {
		return func(ctx context.Context) error {
			// As a call whose headers were sent.
			if s, ok := ctx.Value(sentKey{}).(*sent); ok {
				s.set()
			}
			return err
		}
	}
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return fails(status.FromContextError(ctx.Err()).Err())(ctx)
	}
	invalid := message.Check(&masterv1.MountRequest{Mount: &commonv1.Mount{Path: "/\xff"}})
	if invalid == nil {
		t.Fatal("a path that is not UTF-8 can be encoded")
	}
	for name, c := range map[string]evidence{
		"cannot be encoded":   {attempt: fails(invalid)},
		"invalid argument":    {attempt: fails(status.Error(codes.InvalidArgument, "path"))},
		"too large":           {attempt: fails(status.Error(codes.ResourceExhausted, "grpc: received message larger than max"))},
		"permission denied":   {attempt: fails(status.Error(codes.PermissionDenied, "role"))},
		"cancelled by caller": {attempt: hangs, cancel: 400 * time.Millisecond},
		"caller's deadline":   {attempt: hangs, timeout: 20 * time.Millisecond},
		"silent":              {attempt: hangs, timeout: time.Minute, failing: true},
		"unavailable":         {attempt: fails(status.Error(codes.Unavailable, "connection refused")), failing: true},
	} {
		// The times of a bubble do not depend on the load of the machine.
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkEvidence(t, conn, c) })
		})
	}
}

func checkEvidence(t *testing.T, conn *grpc.ClientConn, c evidence) {
	t.Helper()
	m := &member{Member: topology.Member{Name: "a"}, conn: conn}
	client := &Client{config: Config{}, members: members{list: []*member{m}}}
	client.config.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	if c.cancel > 0 {
		time.AfterFunc(c.cancel, cancel)
	}
	redirects := 0
	_, refusal := client.try(ctx, m, attemptTimeout, func(ctx context.Context, _ *grpc.ClientConn) error { return c.attempt(ctx) }, map[string]bool{}, &redirects)
	if refusal == nil {
		t.Fatal("the attempt succeeded")
	}
	if _, failing := client.leader.failing["a"]; failing != c.failing {
		t.Errorf("the master is tried last: %v, want %v", failing, c.failing)
	}
}

// TestInvalidRequestEndsAtOnce checks that a request that cannot be encoded is not
// repeated until the deadline, and is not of an unknown outcome.
func TestInvalidRequestEndsAtOnce(t *testing.T) {
	client := &Client{config: Config{Logger: slog.New(slog.DiscardHandler)}, members: members{list: []*member{{Member: topology.Member{Name: "a"}}}}}
	conn, err := grpc.NewClient("passthrough:///127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()), message.CheckRequests())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client.members.list[0].conn = conn
	e := client.call(t.Context(), func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := masterv1.NewCoordinationClient(conn).Unmount(ctx, &masterv1.UnmountRequest{Path: "/\xff"})
		return err
	})
	if e.refusal == nil || e.refusal.Code != codes.InvalidArgument || e.uncertain {
		t.Errorf("the outcome is %+v", e)
	}
}
