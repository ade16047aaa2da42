package shaper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Shape is what a proxy does to responses. The zero Shape only counts.
type Shape struct {
	// FirstByte is the time from a request to the first byte of its response.
	FirstByte time.Duration
	// PerConnection and Total bound the bytes per second of bodies; 0 means that
	// they are not bounded.
	PerConnection, Total int64
}

// step is the number of bytes between two checks of the rate, and the burst of a
// connection.
const step = 256 << 10

// Proxy forwards HTTP/1.1 connections to one address. It is safe for concurrent
// use.
type Proxy struct {
	target   string
	listener net.Listener
	counts   counters
	stopped  context.Context
	stop     context.CancelFunc
	serving  sync.WaitGroup

	mu    sync.Mutex
	shape Shape
	total *rate.Limiter
	conns map[net.Conn]struct{}
}

// Start listens on a free port of a host and forwards to target, a host with a
// port.
func Start(host, target string, shape Shape) (*Proxy, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{target: target, listener: listener, conns: map[net.Conn]struct{}{}}
	p.SetShape(shape)
	p.stopped, p.stop = context.WithCancel(context.Background())
	p.serving.Go(p.accept)
	return p, nil
}

func limiter(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return rate.NewLimiter(rate.Inf, step)
	}
	return rate.NewLimiter(rate.Limit(bytes), step)
}

// SetShape changes the shape of responses to later requests.
func (p *Proxy) SetShape(shape Shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape, p.total = shape, limiter(shape.Total)
}

func (p *Proxy) shaped() (Shape, *rate.Limiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shape, p.total
}

// Address returns the host and port of the proxy.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Counts returns what was forwarded since the start.
func (p *Proxy) Counts() Counts { return p.counts.read() }

// Close ends all connections and waits.
func (p *Proxy) Close() {
	p.stop()
	_ = p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.serving.Go(func() {
			if p.keep(conn) {
				_ = p.serve(conn) // the client sees that its connection ends
			}
			p.drop(conn)
		})
	}
}

// keep registers a connection, unless the proxy is closed.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	return p.stopped.Err() == nil
}

func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	_ = conn.Close()
}

// serve forwards the requests of one connection, one after the other, over one
// connection to the store.
func (p *Proxy) serve(client net.Conn) error {
	var dialer net.Dialer
	store, err := dialer.DialContext(p.stopped, "tcp", p.target)
	if err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	defer p.drop(store)
	if !p.keep(store) {
		return errors.New("the proxy is closed")
	}
	e := exchange{
		proxy: p, client: client, store: store, rate: limiter(0),
		requests: bufio.NewReader(client), responses: bufio.NewReader(store),
	}
	for {
		if again, err := e.one(); err != nil || !again {
			return err
		}
	}
}

// exchange is one client's connection with the one to the store.
type exchange struct {
	proxy               *Proxy
	client, store       net.Conn
	requests, responses *bufio.Reader
	rate                *rate.Limiter
}

// one forwards a request and its response, and reports whether the connections
// remain usable.
func (e *exchange) one() (bool, error) {
	head, err := readHead(e.requests)
	if err != nil {
		return false, err
	}
	request, err := head.request()
	if err != nil {
		return false, err
	}
	begin := time.Now()
	kind := kindOf(request)
	if _, err := e.store.Write(head.raw); err != nil {
		return false, fmt.Errorf("forward a request: %w", err)
	}
	sent, err := e.body(e.store, e.requests, request.ContentLength, request.TransferEncoding, nil)
	if err != nil {
		return false, err
	}
	received, keep, err := e.respond(request, begin)
	e.proxy.counts.add(kind, sent, received)
	return keep && !request.Close, err
}

// respond forwards the response to a request that arrived at begin.
func (e *exchange) respond(request *http.Request, begin time.Time) (int64, bool, error) {
	head, err := readHead(e.responses)
	if err != nil {
		return 0, false, err
	}
	response, err := head.response(request) //nolint:bodyclose // it is forwarded, not read
	if err != nil {
		return 0, false, err
	}
	if response.StatusCode == http.StatusContinue {
		if _, err := e.client.Write(head.raw); err != nil {
			return 0, false, err
		}
		return e.respond(request, begin)
	}
	shape, total := e.proxy.shaped()
	if limit := limiter(shape.PerConnection); limit.Limit() != e.rate.Limit() {
		e.rate = limit
	}
	if err := e.proxy.sleep(shape.FirstByte - time.Since(begin)); err != nil {
		return 0, false, err
	}
	if _, err := e.client.Write(head.raw); err != nil {
		return 0, false, fmt.Errorf("forward a response: %w", err)
	}
	if !bodied(request, response) {
		return 0, !response.Close, nil
	}
	received, err := e.body(e.client, e.responses, response.ContentLength, response.TransferEncoding, []*rate.Limiter{e.rate, total})
	return received, !response.Close && (response.ContentLength >= 0 || len(response.TransferEncoding) > 0), err
}

// bodied reports whether a response has a body (RFC 9110, section 6.4.1).
func bodied(request *http.Request, response *http.Response) bool {
	return request.Method != http.MethodHead && response.StatusCode != http.StatusNoContent &&
		response.StatusCode != http.StatusNotModified && response.StatusCode >= 200
}

func (p *Proxy) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-p.stopped.Done():
		return p.stopped.Err()
	}
}

// body forwards a body: of length bytes, in chunks, or, where neither is known,
// until the connection ends. It returns the number of bytes that were forwarded.
func (e *exchange) body(to net.Conn, from *bufio.Reader, length int64, encoding []string, limits []*rate.Limiter) (int64, error) {
	if len(encoding) > 0 {
		return e.chunks(to, from, limits)
	}
	source := e.store
	if to == e.store {
		source = e.client
	}
	var done int64
	for length < 0 || done < length {
		want := int64(step)
		if length >= 0 {
			want = min(want, length-done)
		}
		n, err := forward(to, from, source, want)
		done += n
		if err := e.pace(limits, n); err != nil {
			return done, err
		}
		if errors.Is(err, io.EOF) && length < 0 {
			return done, nil
		}
		if err != nil {
			return done, fmt.Errorf("forward a body: %w", err)
		}
	}
	return done, nil
}

// forward copies at most n bytes: first those that the reader holds, then those
// of its connection, which the kernel moves (io.Copy between two TCP connections
// uses splice).
func forward(to net.Conn, from *bufio.Reader, source net.Conn, n int64) (int64, error) {
	if held := int64(from.Buffered()); held > 0 {
		return io.CopyN(to, from, min(held, n))
	}
	return io.CopyN(to, source, n)
}

// chunks forwards a body in chunks (RFC 9112, section 7.1).
func (e *exchange) chunks(to net.Conn, from *bufio.Reader, limits []*rate.Limiter) (int64, error) {
	var done int64
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return done, fmt.Errorf("forward a chunk: %w", err)
		}
		var size int64
		if _, err := fmt.Sscanf(string(line), "%x", &size); err != nil {
			return done, fmt.Errorf("forward a chunk: %w", err)
		}
		if _, err := to.Write(line); err != nil {
			return done, err
		}
		if size == 0 {
			return done, trailer(to, from)
		}
		n, err := io.CopyN(to, from, size+2)
		done += min(n, size)
		if err != nil {
			return done, err
		}
		if err := e.pace(limits, n); err != nil {
			return done, err
		}
	}
}

// trailer forwards the lines after the last chunk, up to the empty one.
func trailer(to io.Writer, from *bufio.Reader) error {
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("forward a trailer: %w", err)
		}
		if _, err := to.Write(line); err != nil {
			return err
		}
		if len(line) <= 2 {
			return nil
		}
	}
}

// pace waits until n more bytes are allowed. What clients send has no limits.
func (e *exchange) pace(limits []*rate.Limiter, n int64) error {
	for _, l := range limits {
		for left := n; left > 0 && l.Limit() != rate.Inf; left -= step {
			if err := l.WaitN(e.proxy.stopped, int(min(left, step))); err != nil {
				return err
			}
		}
	}
	return nil
}
