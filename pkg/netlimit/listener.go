package netlimit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// acceptPause is how long Accept waits after an error of the system, such as
// that no more files can be opened.
const acceptPause = 10 * time.Millisecond

// Handshake authenticates the peer of a connection. It returns the connection to
// use, whose Close must close the given one, and the owner that it counts for.
// It must return when ctx is done or the given connection is closed.
type Handshake func(ctx context.Context, raw net.Conn) (net.Conn, string, error)

// Config is the configuration of a Listener.
type Config struct {
	// Port is the name of the port in messages and metrics, such as "raft".
	Port   string
	Limits Limits
	// Handshake is nil for a port without authentication. Its connections
	// remain pending for as long as they are open, without a deadline.
	Handshake Handshake
	// Addresses have reserved slots. It may be nil.
	Addresses *Addresses
	// Logger may be nil.
	Logger *slog.Logger
	// Registry holds the metrics until the Listener is closed. It may be nil.
	Registry prometheus.Registerer
}

// Listener accepts the connections of another listener within limits. Its Accept
// returns authenticated connections. It is safe for concurrent use.
type Listener struct {
	inner    net.Listener
	config   Config
	accepted chan net.Conn
	workers  sync.WaitGroup
	// stopped is done when the Listener is closed.
	stopped context.Context
	stop    context.CancelFunc
	counts  counts
	metrics *collector

	// mu guards the fields below, and place, member and closed of each conn.
	mu      sync.Mutex
	pending *pending
	open    *open
	closed  bool
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a Listener that accepts the connections of inner, which it
// closes. It starts at once.
func Listen(inner net.Listener, config Config) *Listener {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Listener{inner: inner, config: config, accepted: make(chan net.Conn)}
	l.stopped, l.stop = context.WithCancel(context.Background())
	l.pending = newPending(config.Limits, config.Addresses, l.shed)
	l.open = newOpen(config.Limits, config.Addresses, l.shed)
	l.metrics = newCollector(l)
	if config.Registry != nil {
		if err := config.Registry.Register(l.metrics); err != nil {
			config.Logger.Warn("the connections of a port are not in the metrics", "port", config.Port, "error", err)
		}
	}
	l.workers.Go(l.run)
	return l
}

// Accept implements net.Listener. It returns net.ErrClosed after Close, and no
// other error.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.stopped.Done():
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Pending returns the number of connections that are not authenticated.
func (l *Listener) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending.len()
}

// Close closes the listener and every connection that Accept has not returned.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	waiting := l.pending.all()
	l.mu.Unlock()
	l.stop()
	if l.config.Registry != nil {
		l.config.Registry.Unregister(l.metrics)
	}
	err := l.inner.Close()
	for _, c := range waiting {
		// Those that Accept has returned are closed by their server.
		if l.config.Handshake != nil {
			_ = c.Close()
		}
	}
	l.workers.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// run accepts until the listener is closed. It never waits for a connection, so
// that no connection delays others.
func (l *Listener) run() {
	for {
		raw, err := l.inner.Accept()
		switch {
		case l.stopped.Err() != nil:
			if err == nil {
				_ = raw.Close()
			}
			return
		case err != nil:
			l.cannotAccept(err)
		default:
			l.admit(raw)
		}
	}
}

// cannotAccept handles an error of the system. When there are no more files, the
// oldest pending connection makes room.
func (l *Listener) cannotAccept(err error) {
	l.config.Logger.Warn("cannot accept a connection", "port", l.config.Port, "error", err)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.mu.Lock()
		if oldest := l.pending.oldest(); oldest != nil {
			l.pending.remove(oldest)
			l.shed(oldest)
		}
		l.mu.Unlock()
	}
	select {
	case <-l.stopped.Done():
	case <-time.After(acceptPause):
	}
}

// admit adds a connection to the pending ones and starts its handshake.
func (l *Listener) admit(raw net.Conn) {
	l.counts.accepted.Add(1)
	c := &conn{Conn: raw, listener: l, address: addressOf(raw.RemoteAddr())}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		_ = raw.Close()
		return
	}
	l.pending.add(c, silent)
	l.mu.Unlock()
	l.workers.Go(func() { l.serve(c) })
}

// serve runs the handshake of a connection and passes it to Accept.
func (l *Listener) serve(c *conn) {
	var ready net.Conn = c
	if l.config.Handshake != nil {
		var err error
		if ready, err = l.authenticate(c); err != nil {
			l.reject(c, err)
			return
		}
	}
	select {
	case l.accepted <- ready:
	case <-l.stopped.Done():
		_ = ready.Close()
		_ = c.Close()
	}
}

func (l *Listener) authenticate(c *conn) (net.Conn, error) {
	limited, cancel := context.WithTimeout(l.stopped, l.config.Limits.Handshake)
	defer cancel()
	expired := time.AfterFunc(l.config.Limits.Handshake, func() { l.expire(c) })
	defer expired.Stop()
	ready, owner, err := l.config.Handshake(limited, c)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if err := l.open.add(c, owner); err != nil {
		l.counts.refused.Add(1)
		return nil, err
	}
	l.pending.remove(c)
	return ready, nil
}

// expire closes a connection whose handshake has taken too long.
func (l *Listener) expire(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place == nil {
		return
	}
	l.pending.remove(c)
	l.counts.expired.Add(1)
	c.reset()
}

// shed closes a connection that makes room for another one. The caller holds mu,
// and has removed the connection.
func (l *Listener) shed(c *conn) {
	l.counts.shed.Add(1)
	c.reset()
}

// reject closes a connection whose handshake failed.
func (l *Listener) reject(c *conn, err error) {
	l.mu.Lock()
	ours := c.closed
	l.mu.Unlock()
	_ = c.Close()
	if ours || l.stopped.Err() != nil {
		return
	}
	l.counts.rejected.Add(1)
	level := slog.LevelWarn
	if errors.Is(err, io.EOF) {
		level = slog.LevelDebug // a client that gave up, or a probe of the port
	}
	l.config.Logger.Log(context.Background(), level, "rejected a connection", "port", l.config.Port, "remote", c.RemoteAddr().String(), "error", brief(err))
}

// maxReason bounds the part of an error that the peer may have chosen, in bytes.
const maxReason = 256

func brief(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		return text[:maxReason] + "…"
	}
	return text
}

// conn is a connection of a Listener.
type conn struct {
	net.Conn
	listener *Listener
	address  netip.Addr
	// spoken is set once the peer has sent a byte.
	spoken atomic.Bool

	// place is nil unless the connection is pending, member unless it is
	// authenticated. mu of the listener guards them and closed.
	place  *place
	member *membership
	closed bool
}

// NetConn returns the connection of the inner listener. It must not be closed.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.spoken.Load() && !c.spoken.Swap(true) {
		c.listener.mu.Lock()
		c.listener.pending.spoke(c)
		c.listener.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.closed = true
	c.listener.pending.remove(c)
	c.listener.open.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// reset closes the connection without waiting for the peer, so that the system
// keeps nothing of it. The caller holds mu of the listener.
func (c *conn) reset() {
	c.closed = true
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
}
