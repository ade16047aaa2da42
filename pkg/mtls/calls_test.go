package mtls

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// serveUntilEnd serves on loopback until the test ends, and returns the address.
func serveUntilEnd(t *testing.T, server *grpc.Server) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// TestCallsInProgressAreBounded: one caller watches the health of a server as
// often as it can. Its further calls fail, and those of others do not.
func TestCallsInProgressAreBounded(t *testing.T) {
	a := authority(t)
	server := grpc.NewServer(identity(t, a, Master, "m").ServerOptions(Rights{
		healthv1.Health_Watch_FullMethodName: {Fuse, Worker}, healthv1.Health_Check_FullMethodName: {Fuse},
	})...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	address := serveUntilEnd(t, server)
	client := func(role Role) healthv1.HealthClient {
		conn, err := identity(t, a, role, "x").Dial(address, Master, "m")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return healthv1.NewHealthClient(conn)
	}
	watch := func(c healthv1.HealthClient) (stop func(), err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		stream, err := c.Watch(ctx, &healthv1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return cancel, err
	}
	fuse := client(Fuse)
	var stops []func()
	for range maxLong {
		stop, err := watch(fuse)
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
	}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	// Another connection of the same owner counts for it, too.
	stop, err := watch(client(Fuse))
	stop()
	if status.Code(err) != codes.Unavailable {
		t.Errorf("one more call than the limit: %v", err)
	}
	if stop, err := watch(client(Worker)); err != nil {
		t.Errorf("another owner: %v", err)
	} else {
		stop()
	}
	if _, err := fuse.Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("a call that ends: %v", err)
	}
	stops[0]()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		stop, err := watch(fuse)
		stop()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a call has ended: %v", err)
		}
	}
}

// TestCallsWithoutARequestAreBounded: one caller begins calls over several
// connections and sends no request. Its further calls fail, and those of others
// do not.
func TestCallsWithoutARequestAreBounded(t *testing.T) {
	a := authority(t)
	server := grpc.NewServer(identity(t, a, Master, "m").ServerOptions(Rights{healthv1.Health_Check_FullMethodName: {Fuse, Worker}})...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	address := serveUntilEnd(t, server)
	dial := func(role Role) *grpc.ClientConn {
		conn, err := identity(t, a, role, "x").Dial(address, Master, "m")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	refused := make(chan error, 2*maxBegun)
	for begun := 0; begun < maxBegun+maxStreams; begun += maxStreams {
		conn := dial(Fuse)
		for range maxStreams {
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, healthv1.Health_Check_FullMethodName)
			if err != nil {
				t.Fatal(err)
			}
			go func() { refused <- stream.RecvMsg(&healthv1.HealthCheckResponse{}) }()
		}
	}
	if err := <-refused; status.Code(err) != codes.Unavailable {
		t.Fatalf("one more call than the limit: %v", err)
	}
	if _, err := healthv1.NewHealthClient(dial(Worker)).Check(ctx, &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("another owner: %v", err)
	}
	cancel()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := healthv1.NewHealthClient(dial(Fuse)).Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the calls have ended: %v", err)
		}
	}
}
