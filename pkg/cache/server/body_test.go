package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// TestRequestsHaveNoBody: a client announces a body and does not send it. It gets
// a response, and holds its connection for a moment only.
func TestRequestsHaveNoBody(t *testing.T) {
	h := newHarness(t).ready()
	key := h.bucket.put("a", 1, 10)
	request, err := wire.NewHTTPRequest(t.Context(), h.worker.Addr().String(), wire.Request{
		Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, First: 0, Last: 9,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := h.identity(mtls.Fuse, "client").ClientConfig(mtls.Worker, h.name)
	conn, err := tls.Dial("tcp", h.worker.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "GET " + request.URL.RequestURI() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", response.StatusCode)
	}
	var timeout net.Error
	if _, err := in.ReadByte(); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection stayed open")
	}
}

// TestCallsWithoutARequestEnd: a client begins a gRPC call and sends no request.
// The call ends, and one whose request has arrived does not.
func TestCallsWithoutARequestEnd(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.config.WriteTimeout = 2 * time.Second }).ready()
	conn := h.dial(mtls.Fuse)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := watch.Recv(); ended <- err }()
	call, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, healthv1.Health_Check_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.RecvMsg(&healthv1.HealthCheckResponse{}); err == nil || ctx.Err() != nil {
		t.Errorf("a call without a request: %v", err)
	}
	select {
	case err := <-ended:
		t.Errorf("a call with a request ended: %v", err)
	default:
	}
}
