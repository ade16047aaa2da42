package session

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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
	synctest.Test(t, func(t *testing.T) {
		var watch context.Context
		transport := newBudget(5 * time.Second).wrap(roundTripper(func(r *http.Request) (*http.Response, error) {
			watch = r.Context() // which ends the body, as in the transport of package http
			return &http.Response{Body: http.NoBody}, nil
		}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if watch.Err() != nil {
			t.Errorf("the body ended after the budget: %v", context.Cause(watch))
		}
		if err := response.Body.Close(); err != nil || watch.Err() == nil {
			t.Errorf("after its body was closed, the request ended with %v, %v", watch.Err(), err)
		}
	})
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
	// None was accepted yet if the budget ended before that.
	if n := accepted.Load(); n > 1 {
		t.Errorf("%d connections, want 1: the budget was used up by the first request", n)
	}
}
