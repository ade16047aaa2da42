//go:build linux

package fusefd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// handshakeTimeout is the deadline for the first message of a new connection.
const handshakeTimeout = 10 * time.Second

// Serve attaches one server after another to the mount until the context or the
// session ends, and then returns nil or ErrAborted. The socket's path may have
// any length; its directory must exist. Serve removes the socket when it
// returns.
func (s *Session) Serve(ctx context.Context, socketPath string) error {
	listener, err := listen(ctx, socketPath)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(socketPath) }()
	if err := allowServers(socketPath, s.opts.ServerUIDs); err != nil {
		_ = listener.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { s.watch(ctx) })
	group.Go(func() { s.writeNotifications(ctx) })
	// A disk that hangs may block the broker, which must not keep Serve from
	// returning.
	go s.broker.run(ctx)
	group.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.ended:
		}
		cancel()
		_ = listener.Close()
	})
	err = s.accept(ctx, listener, &group)
	cancel()
	group.Wait()
	if s.sessionOver() {
		if errors.Is(s.Err(), ErrAborted) {
			return s.Err()
		}
		return nil
	}
	return err
}

// allowServers makes the socket connectable for other users if any are allowed.
// The handshake checks their user id.
func allowServers(socketPath string, allowed []uint32) error {
	if len(allowed) == 0 {
		return nil
	}
	if err := os.Chmod(socketPath, 0o666); err != nil {
		return fmt.Errorf("allow servers to connect to %s: %w", socketPath, err)
	}
	return nil
}

func (s *Session) sessionOver() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *Session) accept(ctx context.Context, listener *net.UnixListener, group *sync.WaitGroup) error {
	for {
		conn, err := fdsock.Accept(ctx, listener, func(err error) { s.log.Warn("cannot accept a server", "error", err) })
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept servers: %w", err)
		}
		s.waiting.add(conn)
		group.Go(func() {
			defer s.waiting.remove(conn)
			if err := s.lend(ctx, conn); err != nil {
				s.log.Warn("a server was not attached", "error", err)
			}
		})
	}
}

// lend attaches one peer and blocks until it detaches.
func (s *Session) lend(ctx context.Context, conn *net.UnixConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	hello, err := s.handshake(conn)
	if err != nil {
		_ = send(conn, message{Kind: kindRefused, Reason: err.Error()})
		return err
	}
	// Messages are received in the background, so that the end of a peer that
	// still waits for its turn is noticed too.
	messages := make(chan packet)
	go receiveMessages(ctx, conn, messages)
	if !s.waitTurn(ctx, messages) {
		return nil
	}
	defer func() { s.turn <- struct{}{} }()
	s.waiting.remove(conn)
	generation, err := s.begin(hello)
	if err != nil {
		_ = send(conn, message{Kind: kindRefused, Reason: err.Error()})
		return err
	}
	defer s.leave(generation)
	attachment := message{Kind: kindLease, Generation: generation, Mountpoint: s.point, Features: s.broker.features()}
	if err := send(conn, attachment, s.fuse, s.slots.file); err != nil {
		return err
	}
	s.log.Info("a server is attached", "generation", generation, "resumed", hello.Kind == kindResume)
	for p := range messages {
		s.handle(p, generation, conn)
	}
	return nil
}

// handle processes one message of the attached server.
func (s *Session) handle(p packet, generation uint64, conn *net.UnixConn) {
	if p.message.Kind == kindRegister {
		s.broker.queue(p, conn)
		return
	}
	fdsock.Close(p.fds)
	switch p.message.Kind {
	case kindServing:
		s.setServing(generation)
	case kindNotify:
		s.notify(batch{messages: p.message.Notifications, from: conn})
	case kindDrop:
		s.drop(p.message, conn)
	case kindUnregister:
		s.broker.unregister(p.message.Backings)
	}
}

// packet is a message and the descriptors that came with it.
type packet struct {
	message message
	fds     []int
}

// handshake checks the peer's user id, and that its first message requests the
// mount.
func (s *Session) handshake(conn *net.UnixConn) (message, error) {
	m, fds, err := handshakePeer(conn, s.opts.ServerUIDs)
	fdsock.Close(fds)
	return m, err
}

// handshakePeer returns the first message of a peer that may be a server, and
// the descriptors that came with it.
func handshakePeer(conn *net.UnixConn, allowed []uint32) (message, []int, error) {
	peer, err := fdsock.Peer(conn)
	if err != nil {
		return message{}, nil, err
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() && !slices.Contains(allowed, peer.Uid) {
		return message{}, nil, fmt.Errorf("user %d is not allowed to serve this mount", peer.Uid)
	}
	if err := conn.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return message{}, nil, fmt.Errorf("wait for the peer: %w", err)
	}
	m, fds, err := receive(conn)
	if err != nil {
		return message{}, nil, err
	}
	if m.Kind != kindAcquire && m.Kind != kindResume {
		err = fmt.Errorf("unexpected first message %q", m.Kind)
	} else if wait := conn.SetReadDeadline(time.Time{}); wait != nil {
		err = fmt.Errorf("wait for the peer: %w", wait)
	}
	if err != nil {
		fdsock.Close(fds)
		return message{}, nil, err
	}
	return m, fds, nil
}

// receiveMessages sends a peer's messages to the channel, and closes it when the
// connection ends or a message is invalid. It returns no later than the
// connection is closed.
func receiveMessages(ctx context.Context, conn *net.UnixConn, messages chan<- packet) {
	defer close(messages)
	for {
		m, fds, err := receive(conn)
		if err != nil {
			return
		}
		select {
		case messages <- packet{message: m, fds: fds}:
		case <-ctx.Done():
			fdsock.Close(fds)
			return
		}
	}
}

// waitTurn blocks until no other server is attached. It returns false when the
// peer's connection or the context ends first.
func (s *Session) waitTurn(ctx context.Context, messages <-chan packet) bool {
	for {
		select {
		case <-s.turn:
			return true
		case p, alive := <-messages:
			fdsock.Close(p.fds)
			if !alive {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// begin starts an attachment and returns its generation: a new one, or that of
// a server which was attached to the previous holder and never stopped serving.
func (s *Session) begin(hello message) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	if hello.Kind == kindResume {
		if session := s.slots.Session(); !bytes.Equal(hello.Session, session[:]) {
			return 0, errors.New("the attachment belongs to a mount that does not exist any more")
		}
		if hello.Generation != s.generation {
			return 0, fmt.Errorf("generation %d has ended: another server is attached since (%d)", hello.Generation, s.generation)
		}
		s.serving = hello.Serving
	} else {
		s.generation++
		s.slots.generation().Store(s.generation)
	}
	s.idleSince = time.Time{}
	return s.generation, nil
}

func (s *Session) setServing(generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.serving = true
	}
}

func (s *Session) leave(generation uint64) {
	s.mu.Lock()
	s.serving = false
	s.idleSince = time.Now()
	s.mu.Unlock()
	s.log.Info("the server is detached", "generation", generation)
}

// watch aborts the mount when no server attaches in time, and ends the session
// when another process has unmounted it.
func (s *Session) watch(ctx context.Context) {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case now := <-tick.C:
			if s.disconnected() {
				if s.unmounting.Load() {
					s.end(nil)
					return
				}
				s.log.Warn("the kernel has ended the connection")
				s.end(ErrAborted)
				return
			}
			if s.serverTimedOut(now) {
				s.log.Error("no server is attached: aborting the mount", "timeout", s.opts.ServerTimeout)
				if err := s.Abort(); err != nil {
					s.log.Error("abort failed", "error", err)
				}
				return
			}
		}
	}
}

func (s *Session) serverTimedOut(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.idleSince.IsZero() && now.Sub(s.idleSince) > s.opts.ServerTimeout
}

// disconnected reports whether the connection has ended. The kernel reports
// POLLERR on the device then, and only then.
func (s *Session) disconnected() bool {
	over := false
	_ = fdsock.Lend([]*os.File{s.fuse}, func(fds []int) error {
		ready := []unix.PollFd{{Fd: int32(fds[0])}}
		if n, err := unix.Poll(ready, 0); err == nil && n > 0 {
			over = ready[0].Revents&unix.POLLERR != 0
		}
		return nil
	})
	return over
}
