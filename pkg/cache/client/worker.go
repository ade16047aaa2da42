package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
	"google.golang.org/grpc"
)

// worker is the connections to one worker and what they have been like.
type worker struct {
	name    string
	address string
	conn    *grpc.ClientConn
	http    *http.Client
	// direct transport of http.
	transport *http.Transport
	clock     func() time.Time

	mu     sync.Mutex
	avoids [parts]avoidance
}

// part of a worker, which may hang while the other answers.
type part int

const (
	calls part = iota
	ranges
	parts
)

// avoidance is failures in a row, and until when others are asked first.
type avoidance struct {
	failures int
	until    time.Time
}

// Bounds of how long a worker that failed is asked last.
const (
	minAvoid = 500 * time.Millisecond
	maxAvoid = 8 * time.Second
)

// connectTimeout of a connection, its handshake included.
const connectTimeout = 2 * time.Second

func newWorker(identity *mtls.Identity, name, address string, clock func() time.Time) (*worker, error) {
	conn, err := identity.Dial(address, mtls.Worker, name)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     identity.ClientConfig(mtls.Worker, name),
		TLSHandshakeTimeout: connectTimeout,
		// HTTP/1.1 only: a connection a range, so that ranges do not wait for
		// one another.
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
		ReadBufferSize:      64 << 10,
	}
	return &worker{
		name: name, address: address, conn: conn, transport: transport, clock: clock,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (w *worker) close() {
	_ = w.conn.Close()
	w.transport.CloseIdleConnections()
}

// admit tells whether the worker is to be asked in its turn. Of those who ask
// after it has failed for a while, one gets leave to try.
func (w *worker) admit(p part) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &w.avoids[p]
	if a.until.IsZero() {
		return true
	}
	now := w.clock()
	if now.Before(a.until) {
		return false
	}
	a.until = now.Add(minAvoid)
	return true
}

// failed notes that the worker could not be reached or hung, which most often
// is true of all of it.
func (w *worker) failed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.avoids {
		a := &w.avoids[i]
		a.until = w.clock().Add(min(maxAvoid, minAvoid<<min(a.failures, 8)))
		a.failures++
	}
	// A connection that hung is not to be used again.
	w.transport.CloseIdleConnections()
}

// succeeded notes that a part answered, whatever it said. It says nothing about
// the other.
func (w *worker) succeeded(p part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.avoids[p] = avoidance{}
}

// cancelled tells whether an attempt ended because nobody wants it any more,
// which says nothing about the worker.
func cancelled(ctx context.Context) bool { return context.Cause(ctx) == context.Canceled } //nolint:errorlint // exactly this cause
