package fdpass

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// ErrClosed means that the client was closed.
var ErrClosed = errors.New("client of sealed files closed")

// Client borrows files from the worker at one socket. It reconnects when the
// connection is lost. It is safe for concurrent use.
type Client struct {
	path string

	mu      sync.Mutex
	session *session
	closed  bool
}

// session is one connection.
type session struct {
	conn *net.UnixConn

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan reply
	err     error // why the session ended
}

type reply struct {
	message message
	file    *os.File
}

// Dial connects to a worker's socket.
func Dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{path: path}
	if _, err := c.connected(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the connection, which returns all files to the worker. Open files
// can still be read.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.session == nil {
		return nil
	}
	return c.session.conn.Close()
}

func (c *Client) connected(ctx context.Context) (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if c.session != nil && c.session.alive() {
		return c.session, nil
	}
	conn, err := dial(ctx, c.path)
	if err != nil {
		return nil, fmt.Errorf("connect to worker at %s: %w", c.path, err)
	}
	c.session = &session{conn: conn, waiting: map[uint64]chan reply{}}
	go c.session.read()
	return c.session, nil
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
	file, err := r.open(key)
	if err != nil {
		if r.message.outcome == granted {
			s.giveBack(id)
		}
		return nil, fmt.Errorf("worker at %s: %w", c.path, err)
	}
	return &File{session: s, id: id, file: file, size: key.Size, device: deviceOf(file)}, nil
}

// open checks the file of a reply.
func (r reply) open(key Key) (*os.File, error) {
	switch {
	case r.message.outcome == notSealed:
		return nil, fmt.Errorf("%s: %w", r.message.text, ErrNotSealed)
	case r.message.outcome != granted:
		return nil, errors.New(r.message.text)
	case r.file == nil:
		return nil, fmt.Errorf("the reply has no descriptor: %w", errProtocol)
	}
	info, err := r.file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != key.Size) {
		err = fmt.Errorf("the file has %d bytes, want %d: %w", info.Size(), key.Size, errProtocol)
	}
	if err != nil {
		_ = r.file.Close()
		return nil, err
	}
	return r.file, nil
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
	s.waiting[s.next] = response
	if err := s.write(message{kind: kindOpen, id: s.next, key: key}); err != nil {
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
		s.giveBack(id)
	}
}

func (s *session) giveBack(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		// If this fails, the connection ends, which returns all files.
		_ = s.write(message{kind: kindGiveBack, id: id})
	}
}

// read passes replies to their requests until the connection ends.
func (s *session) read() {
	buf := make([]byte, maxMessage+1)
	var failed error
	for failed == nil {
		m, file, err := receive(s.conn, buf)
		if err == nil && m.kind != kindOpened {
			err = fmt.Errorf("kind %d: %w", m.kind, errProtocol)
		}
		if err != nil {
			if file != nil {
				_ = file.Close()
			}
			failed = err
			continue
		}
		s.deliver(reply{message: m, file: file})
	}
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = fmt.Errorf("connection lost: %w", failed)
	for id, response := range s.waiting {
		close(response)
		delete(s.waiting, id)
	}
}

func (s *session) deliver(r reply) {
	s.mu.Lock()
	response, ok := s.waiting[r.message.id]
	delete(s.waiting, r.message.id)
	if ok {
		response <- r
	}
	s.mu.Unlock()
	if !ok && r.file != nil {
		_ = r.file.Close()
		s.giveBack(r.message.id)
	}
}

// File is a borrowed sealed file. It is safe for concurrent use, except Close.
type File struct {
	session *session
	id      uint64
	file    *os.File
	size    int64
	device  uint64
	once    sync.Once
}

var _ io.ReaderAt = (*File)(nil)

// ReadAt reads bytes of the version.
func (f *File) ReadAt(p []byte, offset int64) (int, error) { return f.file.ReadAt(p, offset) }

// Size returns the size of the version in bytes.
func (f *File) Size() int64 { return f.size }

// Fd returns the descriptor, open for reading only. It is valid until Close.
func (f *File) Fd() uintptr { return f.file.Fd() }

// Close closes the file and returns it to the worker.
func (f *File) Close() error {
	var err error
	f.once.Do(func() {
		err = f.file.Close()
		f.session.giveBack(f.id)
	})
	return err
}
