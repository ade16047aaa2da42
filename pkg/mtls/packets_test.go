package mtls

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// countedConn counts the writes to a connection and their bytes.
type countedConn struct {
	net.Conn
	writes, written *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// TestACallIsNotAccompaniedByPings checks that a client sends little more than its
// requests. A transport that estimates the bandwidth also sends a ping for each
// response and a response to each ping of the server.
func TestACallIsNotAccompaniedByPings(t *testing.T) {
	a := authority(t)
	server := grpc.NewServer(identity(t, a, Master, "m").ServerOptions(Rights{healthv1.Health_Check_FullMethodName: {Worker}})...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	address := serveUntilEnd(t, server)
	var writes, written atomic.Int64
	conn, err := identity(t, a, Worker, "w").Dial(address, Master, "m", grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return countedConn{raw, &writes, &written}, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const calls = 200
	call := func() {
		t.Helper()
		if _, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	call() // with the handshakes and all headers, which later calls abbreviate
	writes.Store(0)
	written.Store(0)
	for range calls {
		call()
	}
	// Headers and message of a request are written separately at times.
	if n := writes.Load(); n > 2*calls {
		t.Errorf("%d calls took %d writes", calls, n)
	}
	// Two frames in one TLS record have 62 bytes, and in two records 84. The two pings
	// have 34 at least, and 78 in records of their own.
	if n := written.Load(); n > 92*calls {
		t.Errorf("%d calls took %d bytes, %d each", calls, n, n/calls)
	}
}
