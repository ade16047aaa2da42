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

// handshakeTimeout is how long a peer that connected may stay silent.
const handshakeTimeout = 10 * time.Second

// Serve lends the mount to one server after another until the context ends or
// the session does; it then returns nil or ErrAborted. The socket's path may be
// of any length; its directory must exist, and the socket is removed at the
// end.
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

// allowServers lets other users connect where some are allowed; who they are is
// checked then.
func allowServers(socketPath string, allowed []uint32) error {
	if len(allowed) == 0 {
		return nil
	}
	if err := os.Chmod(socketPath, 0o666); err != nil {
		return fmt.Errorf("letting servers connect to %s: %w", socketPath, err)
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
		conn, err := listener.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting servers: %w", err)
		}
		group.Go(func() {
			if err := s.lend(ctx, conn); err != nil {
				s.log.Warn("a server was not given the mount", "error", err)
			}
		})
	}
}

// lend gives the mount to one peer and waits for its end.
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
	// Whatever the peer says later is read in the background, so that the
	// end of a peer that still waits for its turn is noticed too.
	said := make(chan message)
	go receiveMessages(ctx, conn, said)
	if !s.waitTurn(ctx, said) {
		return nil
	}
	defer func() { s.turn <- struct{}{} }()
	generation, err := s.begin(hello)
	if err != nil {
		_ = send(conn, message{Kind: kindRefused, Reason: err.Error()})
		return err
	}
	defer s.leave(generation)
	lease := message{Kind: kindLease, Generation: generation, Mountpoint: s.point}
	if err := send(conn, lease, s.fuse, s.slots.file); err != nil {
		return err
	}
	s.log.Info("a server has the mount", "generation", generation, "resumed", hello.Kind == kindResume)
	for m := range said {
		switch m.Kind {
		case kindServing:
			s.setServing(generation)
		case kindNotify:
			s.notify(batch{messages: m.Notifications, from: conn})
		}
	}
	return nil
}

// handshake checks who the peer is and that it asks for the mount.
func (s *Session) handshake(conn *net.UnixConn) (message, error) {
	m, fds, err := handshakePeer(conn, s.opts.ServerUIDs)
	fdsock.Close(fds)
	return m, err
}

// handshakePeer answers how a peer that may be a server began, and the descriptors
// that came with it.
func handshakePeer(conn *net.UnixConn, allowed []uint32) (message, []int, error) {
	peer, err := fdsock.Peer(conn)
	if err != nil {
		return message{}, nil, err
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() && !slices.Contains(allowed, peer.Uid) {
		return message{}, nil, fmt.Errorf("user %d may not serve this mount", peer.Uid)
	}
	if err := conn.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return message{}, nil, fmt.Errorf("waiting for the peer: %w", err)
	}
	m, fds, err := receive(conn)
	if err != nil {
		return message{}, nil, err
	}
	if m.Kind != kindAcquire && m.Kind != kindResume {
		err = fmt.Errorf("the peer began with %q", m.Kind)
	} else if wait := conn.SetReadDeadline(time.Time{}); wait != nil {
		err = fmt.Errorf("waiting for the peer: %w", wait)
	}
	if err != nil {
		fdsock.Close(fds)
		return message{}, nil, err
	}
	return m, fds, nil
}

// receiveMessages passes on what a peer says, and closes the channel when it is gone
// or talks nonsense. It ends no later than the connection.
func receiveMessages(ctx context.Context, conn *net.UnixConn, said chan<- message) {
	defer close(said)
	for {
		m, fds, err := receive(conn)
		fdsock.Close(fds)
		if err != nil {
			return
		}
		select {
		case said <- m:
		case <-ctx.Done():
			return
		}
	}
}

// waitTurn waits until no other server has the mount; false when the peer has
// gone meanwhile.
func (s *Session) waitTurn(ctx context.Context, said <-chan message) bool {
	for {
		select {
		case <-s.turn:
			return true
		case _, alive := <-said:
			if !alive {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// begin a lease: a new one, or that of a server which had the mount from the
// holder before and never stopped serving.
func (s *Session) begin(hello message) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	if hello.Kind == kindResume {
		if session := s.slots.Session(); !bytes.Equal(hello.Session, session[:]) {
			return 0, errors.New("the lease is of a mount that is gone")
		}
		if hello.Generation != s.generation {
			return 0, fmt.Errorf("lease %d is over, the mount was lent again since (%d)", hello.Generation, s.generation)
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
	s.log.Info("the server is gone", "generation", generation)
}

// watch aborts a mount that waited too long for a server, and notices a mount
// that somebody else has taken down.
func (s *Session) watch(ctx context.Context) {
	tick := time.NewTicker(min(max(s.opts.ServerTimeout/20, 20*time.Millisecond), 5*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case now := <-tick.C:
			if s.disconnected() {
				s.log.Warn("the kernel has ended the connection")
				s.end(ErrAborted)
				return
			}
			if s.serverTimedOut(now) {
				s.log.Error("nobody serves the mount", "patience", s.opts.ServerTimeout)
				if err := s.Abort(); err != nil {
					s.log.Error("the mount stays", "error", err)
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

// disconnected polls the device: the kernel reports an error on it, and only
// then, when the connection is over.
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
