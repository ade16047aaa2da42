package client

import (
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// worker holds the connections to one worker and its recent failures.
type worker struct {
	name    string
	address string
	conn    *grpc.ClientConn
	http    *http.Client
	// transport of http.
	transport *transport.Transport
	clock     func() time.Time

	mu     sync.Mutex
	avoids [parts]avoidance
	// noBatches is the time until which no batches are requested.
	noBatches time.Time
}

// part is a part of a worker's API, which may hang while the other works.
type part int

const (
	calls part = iota
	ranges
	parts
)

// avoidance counts failures in a row; the worker is tried last until the time.
type avoidance struct {
	failures int
	until    time.Time
}

// Bounds of the time for which a worker that failed is tried last.
const (
	minAvoid = 500 * time.Millisecond
	maxAvoid = 8 * time.Second
)

func newWorker(config Config, name, address string) (*worker, error) {
	conn, err := config.Identity.Dial(address, mtls.Worker, name)
	if err != nil {
		return nil, err
	}
	bytes := transport.New(transport.Config{Identity: config.Identity, Worker: name, SocketDir: config.SocketDir})
	return &worker{
		name: name, address: address, conn: conn, transport: bytes, clock: config.Clock,
		http: &http.Client{
			Transport:     bytes,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (w *worker) close() {
	_ = w.conn.Close()
	w.transport.CloseIdleConnections()
}

// admit reports whether the worker should be tried in its turn. After a failure
// it returns true to one caller per pause.
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

// failed records that the worker is bad, which usually affects all its parts.
func (w *worker) failed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.avoids {
		a := &w.avoids[i]
		a.until = w.clock().Add(min(maxAvoid, minAvoid<<min(a.failures, 8)))
		a.failures++
	}
	// A connection that hung must not be used again.
	w.transport.CloseIdleConnections()
}

// succeeded records that a part responded, with a result or an error. It does
// not affect the other part.
func (w *worker) succeeded(p part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.avoids[p] = avoidance{}
}
