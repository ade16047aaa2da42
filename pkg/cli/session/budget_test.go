package session

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/jindo-io/jindo/pkg/kube/client"
)

// roundTripper is a function as a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// silent never responds.
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func request(t *testing.T, transport http.RoundTripper) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err == nil {
		err = response.Body.Close()
	}
	return err
}

func TestRequestsToASilentServerShareTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := newBudget(5 * time.Second).wrap(roundTripper(silent))
		start := time.Now()
		for range 4 {
			err := request(t, transport)
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatalf("error %v, want a timeout", err)
			}
		}
		if passed := time.Since(start); passed != 5*time.Second {
			t.Errorf("4 requests took %v, want one budget of 5s", passed)
		}
		// A later attempt, as of a command that polls, has a budget of its own.
		time.Sleep(time.Second)
		start = time.Now()
		if err := request(t, transport); err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("the next attempt took %v, error %v", time.Since(start), err)
		}
	})
}

func TestSlowServersAreNotCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := newBudget(5 * time.Second).wrap(roundTripper(func(*http.Request) (*http.Response, error) {
			time.Sleep(4 * time.Second)
			return &http.Response{Body: http.NoBody}, nil
		}))
		for range 5 {
			if err := request(t, transport); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestBodiesAreNotBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // until the client closes the watch
	}))
	t.Cleanup(server.Close)
	transport := newBudget(20 * time.Millisecond).wrap(http.DefaultTransport)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := response.Body.Read(make([]byte, 1))
		read <- err
	}()
	select {
	case err := <-read:
		t.Fatalf("the body ended with %v after the budget", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err == nil {
		t.Error("a closed body was readable")
	}
}

// TestClientOfASilentListener runs requests of the real client against a listener
// that accepts connections and never responds.
func TestClientOfASilentListener(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var accepted atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	shared := newBudget(200 * time.Millisecond)
	shared.renewAfter = time.Hour
	config := &rest.Config{Host: "http://" + listener.Addr().String(), QPS: -1}
	config.Wrap(shared.wrap)
	c, err := newClient(config)
	if err != nil {
		t.Fatal(err)
	}
	// Without the budget these requests would never end.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		err := c.List(ctx, &corev1.PodList{}, client.InNamespace("default"))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil {
			t.Fatalf("error %v, want a timeout of the budget", err)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1: the budget was used up by the first request", n)
	}
}
