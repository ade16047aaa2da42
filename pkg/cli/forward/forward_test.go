package forward_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/forward"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

// The SPDY library flushes what was sent in a goroutine of its own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

const timeLimit = 20 * time.Second

// echo starts a server that returns what it receives.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func cluster(t *testing.T) *clitest.Server {
	t.Helper()
	return clitest.New(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: "m-0"}})
}

func TestDial(t *testing.T) {
	s := cluster(t)
	s.Forward("vision", "m-0", 18004, echo(t))
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	conn, err := forward.New(s.Config(), "vision").Dial(ctx, "m-0", 18004)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if conn.RemoteAddr().String() != "m-0:18004" {
		t.Errorf("remote address %s, want m-0:18004", conn.RemoteAddr())
	}
	// More than one frame, both ways.
	text := strings.Repeat("hello ", 50_000)
	go func() { _, _ = io.WriteString(conn, text) }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("read %d bytes, error %v", len(got), err)
	}
	// A deadline does not end the connection.
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := conn.Read(got); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Read without data: got %v, want a timeout", err)
	}
}

// TestFallback dials through a proxy that refuses WebSockets.
func TestFallback(t *testing.T) {
	s := cluster(t)
	s.Forward("vision", "m-0", 18004, echo(t))
	server, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	var refused, passed atomic.Int32
	pass := httputil.NewSingleHostReverseProxy(server)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			refused.Add(1)
			http.Error(w, "WebSockets are not supported", http.StatusBadRequest)
			return
		}
		passed.Add(1)
		pass.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	config := s.Config()
	config.Host = proxy.URL
	conn, err := forward.New(config, "vision").Dial(ctx, "m-0", 18004)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	got := make([]byte, 5)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("read %q, error %v", got, err)
	}
	if refused.Load() != 1 || passed.Load() != 1 {
		t.Errorf("%d requests for a WebSocket, %d others, want 1 and 1", refused.Load(), passed.Load())
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		pod  string
		rule func(s *clitest.Server)
		want string
	}{
		"no such pod":          {"m-1", func(*clitest.Server) {}, "pod m-1 not found"},
		"no listener":          {"m-0", func(*clitest.Server) {}, "connection refused"},
		"no right":             {"m-0", func(s *clitest.Server) { s.Forbid(clitest.Match{Resource: "pods/portforward"}) }, "no right to create pods/portforward in namespace vision"},
		"no response":          {"m-0", func(s *clitest.Server) { s.Hang(clitest.Match{Resource: "pods/portforward"}) }, "deadline exceeded"},
		"no API server at all": {"m-0", func(s *clitest.Server) { s.Close() }, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster(t)
			test.rule(s)
			limit := timeLimit
			if name == "no response" {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			conn, err := forward.New(s.Config(), "vision").Dial(ctx, test.pod, 18004)
			if err == nil {
				// The kubelet's error is returned by the first Read.
				defer func() { _ = conn.Close() }()
				_, err = conn.Read(make([]byte, 1))
			}
			matches := err != nil && (strings.Contains(err.Error(), test.want) || name == "no response" && strings.Contains(err.Error(), "timeout"))
			if !matches {
				t.Errorf("got %v, want %s", err, test.want)
			}
			var forbidden *forward.ForbiddenError
			if is := errors.As(err, &forbidden); is != (name == "no right") {
				t.Errorf("%v is a ForbiddenError: %v", err, is)
			}
		})
	}
}
