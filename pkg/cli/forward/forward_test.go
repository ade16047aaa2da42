package forward_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/forward"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

// The SPDY library waits in one of its own for what was sent already.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

const patience = 20 * time.Second

// echo answers every connection with what it says.
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
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := forward.New(s.Config(), "vision").Dial(ctx, "m-0", 18004)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if conn.RemoteAddr().String() != "m-0:18004" {
		t.Errorf("the address is %s", conn.RemoteAddr())
	}
	// More than one frame, both ways.
	text := strings.Repeat("hello ", 50_000)
	go func() { _, _ = io.WriteString(conn, text) }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("read %d bytes, error %v", len(got), err)
	}
	// It has deadlines, and works on after one.
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := conn.Read(got); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a read of nothing answered %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		pod  string
		rule func(s *clitest.Server)
		want string
	}{
		"no such pod":          {"m-1", func(*clitest.Server) {}, "there is no pod m-1"},
		"nobody listens":       {"m-0", func(*clitest.Server) {}, "connection refused"},
		"no right":             {"m-0", func(s *clitest.Server) { s.Forbid(clitest.Match{Resource: "pods/portforward"}) }, "no right to create pods/portforward in namespace vision"},
		"never answered":       {"m-0", func(s *clitest.Server) { s.Hang(clitest.Match{Resource: "pods/portforward"}) }, "deadline exceeded"},
		"no API server at all": {"m-0", func(s *clitest.Server) { s.Close() }, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster(t)
			test.rule(s)
			limit := patience
			if name == "never answered" {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			conn, err := forward.New(s.Config(), "vision").Dial(ctx, test.pod, 18004)
			if err == nil {
				// What the kubelet says comes with the first read.
				defer func() { _ = conn.Close() }()
				_, err = conn.Read(make([]byte, 1))
			}
			said := err != nil && (strings.Contains(err.Error(), test.want) || name == "never answered" && strings.Contains(err.Error(), "timeout"))
			if !said {
				t.Errorf("got %v, want %s", err, test.want)
			}
			var forbidden *forward.ForbiddenError
			if is := errors.As(err, &forbidden); is != (name == "no right") {
				t.Errorf("%v is a ForbiddenError: %v", err, is)
			}
		})
	}
}
