package fdpass

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// ErrClosed means that the client was closed.
var ErrClosed = errors.New("client of sealed files closed")

const (
	// connectTimeout bounds the time to connect, with the handshake.
	connectTimeout = 2 * time.Second
	// retryPause is the time between a failed attempt to connect and the next one.
	// Until then requests fail immediately.
	retryPause = time.Second
)

// Client borrows files from one worker of this host. It connects when it is needed,
// and again when the connection is lost. It is safe for concurrent use.
type Client struct {
	path     string
	identity *mtls.Identity
	worker   string
	// timeout is connectTimeout; tests lengthen it.
	timeout time.Duration

	mu      sync.Mutex
	session *session
	// attempt is the attempt to connect in progress, nil if there is none.
	attempt *attempt
	// failed is the error of the last attempt, and retry the time of the next one.
	failed error
	retry  time.Time
	closed bool
	// ended is cancelled by Close.
	ended context.Context
	end   context.CancelFunc
}

// attempt is an attempt to connect. The results are set before done is closed.
type attempt struct {
	done    chan struct{}
	session *session
	err     error
}

// session is one connection.
type session struct {
	conn *net.UnixConn

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]request
	// lent are the open files, by the id of their request.
	lent map[uint64]*File
	err  error // why the session ended

	// pending is what the session has to do in the background; wake holds a token
	// while there is some, and ended is closed with the session.
	pending pending
	wake    chan struct{}
	ended   chan struct{}
}

// request is a request for a file of a number of bytes.
type request struct {
	size     int64
	response chan reply
}

// reply is the result of a request.
type reply struct {
	file *File
	err  error
}

// NewClient returns a client of the given worker, whose socket has the given path.
func NewClient(path string, identity *mtls.Identity, worker string) *Client {
	c := &Client{path: path, identity: identity, worker: worker, timeout: connectTimeout}
	c.ended, c.end = context.WithCancel(context.Background())
	return c
}

// Close closes the connection, which returns all files to the worker. Open files
// can still be read.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.end()
	if c.session == nil {
		return nil
	}
	return c.session.conn.Close()
}

// connected returns the session, and connects if there is none. An attempt to connect
// continues when ctx ends, for later callers.
func (c *Client) connected(ctx context.Context) (*session, error) {
	c.mu.Lock()
	switch {
	case c.closed:
		c.mu.Unlock()
		return nil, ErrClosed
	case c.session != nil && c.session.alive():
		defer c.mu.Unlock()
		return c.session, nil
	case c.attempt == nil && time.Now().Before(c.retry):
		defer c.mu.Unlock()
		return nil, c.failed
	case c.attempt == nil:
		c.attempt = &attempt{done: make(chan struct{})}
		go c.connect(c.attempt)
	}
	current := c.attempt
	c.mu.Unlock()
	select {
	case <-current.done:
		return current.session, current.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to worker at %s: %w", c.path, ctx.Err())
	}
}

// connect makes an attempt to connect.
func (c *Client) connect(a *attempt) {
	ctx, cancel := context.WithTimeout(c.ended, c.timeout)
	defer cancel()
	conn, err := transport.DialPackets(ctx, c.path, c.identity, c.worker)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(a.done)
	c.attempt = nil
	switch {
	case c.closed:
		if err == nil {
			_ = conn.Close()
		}
		a.err = ErrClosed
		return
	case err != nil:
		a.err = fmt.Errorf("connect to worker at %s: %w", c.path, err)
		c.failed, c.retry = a.err, time.Now().Add(retryPause)
		return
	}
	a.session = &session{
		conn: conn, waiting: map[uint64]request{}, lent: map[uint64]*File{},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	c.session = a.session
	go a.session.read()
	go a.session.background()
}

// Open borrows the sealed file of a version. The error wraps ErrNotSealed if the
// worker does not have the complete version.
func (c *Client) Open(ctx context.Context, key Key) (*File, error) {
	s, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	id, response, err := s.request(key)
	if err != nil {
		return nil, fmt.Errorf("request a file from worker at %s: %w", c.path, err)
	}
	var r reply
	var ok bool
	select {
	case r, ok = <-response:
	case <-ctx.Done():
		s.abandon(id, response)
		return nil, fmt.Errorf("request a file from worker at %s: %w", c.path, ctx.Err())
	}
	if !ok {
		return nil, fmt.Errorf("request a file from worker at %s: %w", c.path, s.failure())
	}
	if r.err != nil {
		return nil, fmt.Errorf("worker at %s: %w", c.path, r.err)
	}
	return r.file, nil
}

// checkOpened checks the file of a message.
func checkOpened(m message, file *os.File, size int64) error {
	switch {
	case m.outcome == notSealed:
		return fmt.Errorf("%s: %w", m.text, ErrNotSealed)
	case m.outcome != granted:
		return errors.New(m.text)
	case file == nil:
		return fmt.Errorf("the reply has no descriptor: %w", errProtocol)
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
		err = fmt.Errorf("the file has %d bytes, want %d: %w", info.Size(), size, errProtocol)
	}
	return err
}

func (s *session) alive() bool { return s.failure() == nil }

func (s *session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// request sends a request for a file and returns its id and the channel of the
// reply, which is closed if the connection ends.
func (s *session) request(key Key) (uint64, chan reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, nil, s.err
	}
	s.next++
	response := make(chan reply, 1)
	s.waiting[s.next] = request{size: key.Size, response: response}
	if err := s.write(message{kind: kindOpen, id: s.next, key: key, recalls: true}); err != nil {
		delete(s.waiting, s.next)
		return 0, nil, err
	}
	return s.next, response, nil
}

// write sends a packet. The caller must hold s.mu.
func (s *session) write(m message) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	return send(s.conn, m, -1)
}

// abandon ends the wait for a reply. A file that arrives with it is returned.
func (s *session) abandon(id uint64, response chan reply) {
	s.mu.Lock()
	_, waiting := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	if waiting {
		return
	}
	// The reply arrived in between, or the connection ended.
	if r, ok := <-response; ok && r.file != nil {
		_ = r.file.Close()
	}
}

// giveBack returns a file to the worker, after a last report of its use.
func (s *session) giveBack(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lent, f.id)
	if s.err == nil {
		f.report()
		// If this fails, the connection ends, which returns all files.
		_ = s.write(message{kind: kindGiveBack, id: f.id})
	}
}

// read processes the messages of the server until the connection ends.
func (s *session) read() {
	buf := make([]byte, maxMessage+1)
	var failed error
	for failed == nil {
		m, file, err := receive(s.conn, buf)
		switch {
		case err == nil && m.kind == kindOpened:
			s.deliver(m, file)
			continue
		case err == nil && m.kind == kindRevoked && file == nil:
			s.revoked(m.id)
			continue
		case err == nil && m.kind == kindRecalled && file == nil:
			s.recalled(append(m.more, m.id))
			continue
		case err == nil:
			err = fmt.Errorf("kind %d: %w", m.kind, errProtocol)
		}
		if file != nil {
			_ = file.Close()
		}
		failed = err
	}
	_ = s.conn.Close()
	close(s.ended)
	s.mu.Lock()
	s.err = fmt.Errorf("connection lost: %w", failed)
	for id, r := range s.waiting {
		close(r.response)
		delete(s.waiting, id)
	}
	lost := s.lent
	s.lent = map[uint64]*File{}
	s.mu.Unlock()
	for _, f := range lost {
		close(f.lost)
	}
	for _, f := range lost {
		f.wanted()
	}
}

// deliver passes a file to its request. Without one, the file is given back.
func (s *session) deliver(m message, file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.waiting[m.id]
	delete(s.waiting, m.id)
	err := checkOpened(m, file, r.size)
	if !ok || err != nil {
		if file != nil {
			_ = file.Close()
		}
		if m.outcome == granted {
			_ = s.write(message{kind: kindGiveBack, id: m.id})
		}
		if ok {
			r.response <- reply{err: err}
		}
		return
	}
	f := &File{
		session: s, id: m.id, file: file, size: r.size, device: deviceOf(file),
		reports: m.text == featureUsed, recalls: m.text == featureUses,
		revoked: make(chan struct{}), lost: make(chan struct{}),
	}
	s.lent[m.id] = f
	r.response <- reply{file: f}
}

func (s *session) revoked(id uint64) {
	s.mu.Lock()
	f := s.lent[id]
	s.mu.Unlock()
	if f != nil {
		f.revokeOnce.Do(func() { close(f.revoked) })
		s.pending.addWanted(f)
		s.wakeUp()
	}
}

func (s *session) recalled(ids []uint64) {
	s.mu.Lock()
	for _, id := range ids {
		if f := s.lent[id]; f != nil {
			s.pending.addWanted(f)
		}
	}
	s.mu.Unlock()
	s.wakeUp()
}
