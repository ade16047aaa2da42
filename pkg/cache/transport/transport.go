package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// connectTimeout bounds the time to connect, and the TLS handshake.
	connectTimeout = 2 * time.Second
	// idleConnections and idleTimeout bound the connections that are kept for
	// later requests. A reader has one connection for each range in flight, and a
	// TLS handshake costs as much as hundreds of requests.
	idleConnections = 256
	idleTimeout     = 90 * time.Second // workers close after two minutes
	// readBuffer is the buffer of a connection. Longer reads bypass it.
	readBuffer = 64 << 10
	// retrySocket is how long TLS is used after a socket could not be connected to.
	retrySocket = time.Second
)

// Config configures a Transport.
type Config struct {
	// Identity of this process.
	Identity *mtls.Identity
	// Worker is the name of the worker.
	Worker string
	// SocketDir is the directory of the sockets of the workers on this host; ""
	// uses TLS only.
	SocketDir string
}

// Counts are the connections that were opened.
type Counts struct {
	// TLS counts handshakes of TLS, Sockets connections to the unix socket.
	TLS, Sockets int64
}

// Transport sends requests to one worker: over its unix socket if it is on this
// host, and otherwise over TLS. Requests must be idempotent, and those with a body
// must have GetBody. It is safe for concurrent use.
type Transport struct {
	network *http.Transport
	socket  *http.Transport // nil without a directory of sockets
	counts  struct{ tls, sockets atomic.Int64 }

	mu sync.Mutex
	// until is the time until which the socket is not used.
	until time.Time
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns the transport to a worker. It connects when it is needed.
func New(config Config) *Transport {
	t := &Transport{}
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	t.network = newHTTP()
	t.network.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
		defer cancel()
		raw, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(raw, config.Identity.ClientConfig(mtls.Worker, config.Worker))
		shake, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		if err := secured.HandshakeContext(shake); err != nil {
			_ = raw.Close()
			return nil, err
		}
		t.counts.tls.Add(1)
		return secured, nil
	}
	if config.SocketDir == "" {
		return t
	}
	t.socket = newHTTP()
	path := SocketPath(config.SocketDir, config.Worker)
	t.socket.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		c, err := dialSocket(ctx, path, config.Identity, config.Worker)
		if err != nil {
			return nil, &socketError{err}
		}
		t.counts.sockets.Add(1)
		return c, nil
	}
	return t
}

// newHTTP returns a transport for HTTP/1.1: one connection per range, so that
// ranges do not wait for one another.
func newHTTP() *http.Transport {
	return &http.Transport{
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true,
		ReadBufferSize:      readBuffer,
	}
}

// socketError is the error of connecting to a unix socket.
type socketError struct{ err error }

func (e *socketError) Error() string { return fmt.Sprintf("connect to the worker's socket: %v", e.err) }
func (e *socketError) Unwrap() error { return e.err }

// RoundTrip sends a request. Its URL has the worker's address and port.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.usable() {
		response, err := t.socket.RoundTrip(r)
		var failed *socketError
		if err == nil || !errors.As(err, &failed) {
			return response, err //nolint:wrapcheck // a RoundTripper like the one it wraps
		}
		if r.Context().Err() != nil {
			return nil, err //nolint:wrapcheck // as above
		}
		t.avoid()
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err //nolint:wrapcheck // as above
			}
			r = r.Clone(r.Context())
			r.Body = body
		}
	}
	return t.network.RoundTrip(r) //nolint:wrapcheck // as above
}

// usable reports whether the socket should be tried.
func (t *Transport) usable() bool {
	if t.socket == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until.IsZero() || time.Now().After(t.until)
}

// avoid makes requests use TLS for a while.
func (t *Transport) avoid() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = time.Now().Add(retrySocket)
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.network.CloseIdleConnections()
	if t.socket != nil {
		t.socket.CloseIdleConnections()
	}
}

// Counts returns the connections opened since the transport was created.
func (t *Transport) Counts() Counts {
	return Counts{TLS: t.counts.tls.Load(), Sockets: t.counts.sockets.Load()}
}
