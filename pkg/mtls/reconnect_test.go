package mtls

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// Callers share a connection to a peer that is unreachable, as in the requests of a
// master to another one that has not started yet. The race detector must find
// nothing, and the peer is reached once it listens.
func TestReconnectConcurrently(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	self := identity(t, authority(t), Master, "m-1")
	for range 20 {
		conn, err := self.Dial(address, Master, "m-0")
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
					Reconnect(conn)
					_, _ = healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
					cancel()
				}
			})
		}
		group.Wait()
		_ = conn.Close()
	}
}
