package fdpass

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// ErrNotSealed means that the version is not complete and verified at the worker.
var ErrNotSealed = errors.New("not sealed")

// Lender opens sealed files.
type Lender interface {
	// Lend opens a sealed version, or returns an error that wraps ErrNotSealed.
	Lend(key Key) (Loan, error)
}

// Loan is one open file. Return must be called once.
type Loan interface {
	Fd() uintptr
	// CloseFile closes the lender's descriptor; the loan continues.
	CloseFile()
	// OnRevoke has revoked called at most once, when the bytes cannot be used any
	// more. It is called once, before Return.
	OnRevoke(revoked func())
	// Used counts opens of the file, and bytes read from it.
	Used(opens, bytes int64)
	Return()
}

const (
	maxConnections = 256
	// maxPerProcess bounds the connections of one process. A reader has one; it
	// may connect again before the end of the last one is noticed.
	maxPerProcess = 4
	maxLoans      = 1 << 16
	sendTimeout   = 5 * time.Second
	// maxUsed bounds the bytes that one message reports.
	maxUsed = 1 << 50

	// featureUsed is the feature of a server that accepts reports of use.
	featureUsed = "used"
)

// Server lends files on one socket.
type Server struct {
	path     string
	group    int // may connect too; fdsock.NoGroup for none
	lender   Lender
	logger   *slog.Logger
	listener *net.UnixListener

	mu    sync.Mutex
	conns map[*net.UnixConn]int32 // the process of each
	wg    sync.WaitGroup
}

// Listen creates the socket, and replaces the one of a killed worker. Its user
// and root may connect, and processes with the given group, which must be a group
// of this process.
func Listen(path string, group int, lender Lender, logger *slog.Logger) (*Server, error) {
	listener, err := fdsock.Listen(fdsock.Network, path, group)
	if err != nil {
		return nil, err
	}
	return &Server{path: path, group: group, lender: lender, logger: logger, listener: listener, conns: map[*net.UnixConn]int32{}}, nil
}

// Serve lends files until the context ends. It then closes every connection and
// ends every loan before it returns.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	defer s.wg.Wait()
	defer s.close()
	for {
		c, err := fdsock.Accept(ctx, s.listener, func(err error) {
			s.logger.Warn("cannot accept a connection to the socket of sealed files", "error", err)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve on %s: %w", s.path, err)
		}
		if !s.add(c) {
			_ = c.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.drop(c)
			s.lend(c)
		})
	}
}

func (s *Server) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// add accepts a connection of this user, root or the group.
func (s *Server) add(c *net.UnixConn) bool {
	peer, err := fdsock.Peer(c)
	if err == nil {
		err = fdsock.AllowClient(peer, os.Geteuid(), s.group)
	}
	if err != nil {
		s.logger.Warn("refused a connection to the socket of sealed files", "error", err)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxConnections {
		s.logger.Warn("refused a connection to the socket of sealed files: too many", "connections", maxConnections)
		return false
	}
	// The process is 0 when it is in another PID namespace.
	if count := s.connectionsOf(peer.Pid); peer.Pid != 0 && count >= maxPerProcess {
		s.logger.Warn("refused a connection to the socket of sealed files: the process has too many", "pid", peer.Pid, "connections", count)
		return false
	}
	s.conns[c] = peer.Pid
	return true
}

// connectionsOf returns the number of connections of a process. The caller holds
// mu.
func (s *Server) connectionsOf(pid int32) int {
	count := 0
	for _, of := range s.conns {
		if of == pid {
			count++
		}
	}
	return count
}

func (s *Server) drop(c *net.UnixConn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// lend serves one connection until it ends, then ends its loans.
func (s *Server) lend(c *net.UnixConn) {
	loans := map[uint64]Loan{}
	defer func() {
		for _, loan := range loans {
			loan.Return()
		}
	}()
	buf := make([]byte, maxMessage+1)
	for {
		m, file, err := receive(c, buf)
		if file != nil { // Clients must not send descriptors.
			_ = file.Close()
		}
		if err != nil {
			if errors.Is(err, errProtocol) {
				s.logger.Warn("closing a connection to the socket of sealed files", "error", err)
			}
			return
		}
		if err := s.handle(c, m, loans); err != nil {
			s.logger.Debug("a connection to the socket of sealed files ended", "error", err)
			return
		}
	}
}

// handle processes one message of a connection.
func (s *Server) handle(c *net.UnixConn, m message, loans map[uint64]Loan) error {
	loan, lent := loans[m.id]
	switch m.kind {
	case kindGiveBack:
		if lent {
			delete(loans, m.id)
			loan.Return()
		}
		return nil
	case kindUsed:
		if lent {
			loan.Used(int64(m.opens), int64(min(m.bytes, maxUsed)))
		}
		return nil
	}
	if m.kind != kindOpen || lent {
		return fmt.Errorf("kind %d, id %d: %w", m.kind, m.id, errProtocol)
	}
	reply := message{kind: kindOpened, id: m.id}
	fd := -1
	loan, err := s.borrow(m.key, len(loans))
	granting := false
	switch {
	case errors.Is(err, ErrNotSealed):
		reply.outcome, reply.text = notSealed, err.Error()
	case err != nil:
		reply.outcome, reply.text = refused, err.Error()
	default:
		loans[m.id] = loan
		fd, granting = int(loan.Fd()), true
		reply.text = featureUsed
		defer loan.CloseFile()
	}
	if err := s.send(c, reply, fd); err != nil {
		return err
	}
	if granting {
		// After the reply, so that the client knows the file that is revoked.
		loan.OnRevoke(func() {
			if err := s.send(c, message{kind: kindRevoked, id: m.id}, -1); err != nil {
				// The end of the connection makes the client drop all files.
				_ = c.Close()
			}
		})
	}
	return nil
}

func (s *Server) send(c *net.UnixConn, m message, fd int) error {
	if err := c.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	return send(c, m, fd)
}

func (s *Server) borrow(key Key, out int) (Loan, error) {
	if out >= maxLoans {
		return nil, fmt.Errorf("%d files are lent to this connection already", out)
	}
	return s.lender.Lend(key)
}
