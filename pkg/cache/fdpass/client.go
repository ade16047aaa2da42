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

// ErrClosed says that the client was closed.
var ErrClosed = errors.New("client of sealed files closed")

// Client borrows files from the worker at one socket. It dials again when its
// connection was lost. Safe for concurrent use.
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
	err     error // why the session is over
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

// Close ends the connection, which gives everything back. Files that are open
// go on reading.
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
		return nil, fmt.Errorf("dialling worker at %s: %w", c.path, err)
	}
	c.session = &session{conn: conn, waiting: map[uint64]chan reply{}}
	go c.session.read()
	return c.session, nil
}

// Open borrows the sealed file of a version. ErrNotSealed when the worker does
// not have it whole.
func (c *Client) Open(ctx context.Context, key Key) (*File, error) {
	s, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	id, answer, err := s.ask(key)
	if err != nil {
		return nil, fmt.Errorf("asking worker at %s: %w", c.path, err)
	}
	var r reply
	var ok bool
	select {
	case r, ok = <-answer:
	case <-ctx.Done():
		s.abandon(id, answer)
		return nil, fmt.Errorf("asking worker at %s: %w", c.path, ctx.Err())
	}
	if !ok {
		return nil, fmt.Errorf("asking worker at %s: %w", c.path, s.failure())
	}
	file, err := r.open(key)
	if err != nil {
		if r.message.outcome == granted {
			s.giveBack(id)
		}
		return nil, fmt.Errorf("worker at %s: %w", c.path, err)
	}
	return &File{session: s, id: id, file: file, size: key.Size}, nil
}

// open checks what came with an answer.
func (r reply) open(key Key) (*os.File, error) {
	switch {
	case r.message.outcome == notSealed:
		return nil, fmt.Errorf("%s: %w", r.message.text, ErrNotSealed)
	case r.message.outcome != granted:
		return nil, errors.New(r.message.text)
	case r.file == nil:
		return nil, fmt.Errorf("no descriptor came: %w", errProtocol)
	}
	info, err := r.file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != key.Size) {
		err = fmt.Errorf("a file of %d bytes, not %d: %w", info.Size(), key.Size, errProtocol)
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

func (s *session) ask(key Key) (uint64, chan reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, nil, s.err
	}
	s.next++
	answer := make(chan reply, 1)
	s.waiting[s.next] = answer
	if err := s.write(message{kind: kindOpen, id: s.next, key: key}); err != nil {
		delete(s.waiting, s.next)
		return 0, nil, err
	}
	return s.next, answer, nil
}

// write sends a packet. s.mu is held.
func (s *session) write(m message) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	return send(s.conn, m, -1)
}

// abandon an answer that nobody waits for any more: if it comes with a file,
// that is given back.
func (s *session) abandon(id uint64, answer chan reply) {
	s.mu.Lock()
	_, waiting := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	if waiting {
		return
	}
	// It came in between, or the connection ended.
	if r, ok := <-answer; ok && r.file != nil {
		_ = r.file.Close()
		s.giveBack(id)
	}
}

func (s *session) giveBack(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		// If it does not go out, the connection is over and all is given back.
		_ = s.write(message{kind: kindGiveBack, id: id})
	}
}

// read hands answers to who waits for them, until the connection ends.
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
		s.hand(reply{message: m, file: file})
	}
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = fmt.Errorf("connection lost: %w", failed)
	for id, answer := range s.waiting {
		close(answer)
		delete(s.waiting, id)
	}
}

func (s *session) hand(r reply) {
	s.mu.Lock()
	answer, ok := s.waiting[r.message.id]
	delete(s.waiting, r.message.id)
	if ok {
		answer <- r
	}
	s.mu.Unlock()
	if !ok && r.file != nil {
		_ = r.file.Close()
		s.giveBack(r.message.id)
	}
}

// File is a borrowed sealed file. Safe for concurrent use, but for Close.
type File struct {
	session *session
	id      uint64
	file    *os.File
	size    int64
	once    sync.Once
}

var _ io.ReaderAt = (*File)(nil)

// ReadAt reads bytes of the version.
func (f *File) ReadAt(p []byte, offset int64) (int, error) { return f.file.ReadAt(p, offset) }

// Size of the version in bytes.
func (f *File) Size() int64 { return f.size }

// Fd is the descriptor, open for reading only; valid until Close.
func (f *File) Fd() uintptr { return f.file.Fd() }

// Close gives the file back to the worker.
func (f *File) Close() error {
	var err error
	f.once.Do(func() {
		err = f.file.Close()
		f.session.giveBack(f.id)
	})
	return err
}
