package fdpass

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
)

// ErrNotSealed means that the version is not complete and verified at the worker.
var ErrNotSealed = errors.New("not sealed")

// Lender opens sealed files.
type Lender interface {
	// Borrower returns the borrower of one connection, whose peer's certificate has the
	// given scope.
	Borrower(scope mtls.Scope) Borrower
}

// Borrower opens sealed files for one peer.
type Borrower interface {
	// Lend opens a sealed version. The error wraps ErrNotSealed if the version is not
	// sealed. Lend must return another error if the mount is not in the scope.
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
	// OnRecall has recalled called each time the file is to be returned because its
	// space is required. recalled does not wait. It is called once, before SetIdle.
	OnRecall(recalled func())
	// SetIdle records whether the peer uses the file.
	SetIdle(idle bool)
	// Used counts opens of the file, and bytes read from it.
	Used(opens, bytes int64)
	Return()
}

const (
	maxLoans    = 1 << 16
	sendTimeout = 5 * time.Second
	// maxUsed bounds the bytes that one message reports.
	maxUsed = 1 << 50

	// featureUsed is the feature of a server that accepts reports of use.
	featureUsed = "used"
	// featureUses is that of a server that accepts reports of several files, and
	// recalls those that are not used.
	featureUses = "uses"
)

// Limits are the default limits of the connections of a socket. A process has one
// connection; it may connect again before the end of the last one is noticed.
func Limits() netlimit.Limits {
	return netlimit.Limits{
		Pending: 64, PerAddress: 64, Handshake: 5 * time.Second, Open: 256, PerOwner: 32, PerOwnerAddress: 32,
	}
}

// SocketPath returns the path of a worker's socket for sealed files in the directory
// of the sockets of a host.
func SocketPath(dir, worker string) string { return filepath.Join(dir, worker+".sock") }

// Config is the configuration of a Server.
type Config struct {
	// Path of the socket.
	Path string
	// Group may connect besides this user and root, and must be a group of this
	// process; fdsock.NoGroup for none.
	Group int
	// Identity of the worker, and the roles that may connect.
	Identity *mtls.Identity
	Accept   []mtls.Role
	Limits   netlimit.Limits
	Lender   Lender
	Logger   *slog.Logger
	// Registry holds the metrics of the connections. It may be nil.
	Registry prometheus.Registerer
}

// Server lends files on one socket.
type Server struct {
	config   Config
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
	wg    sync.WaitGroup
}

// Listen creates the socket, and replaces the one of a killed worker.
func Listen(config Config) (*Server, error) {
	inner, err := transport.ListenPackets(config.Path, config.Group, config.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, conns: map[net.Conn]struct{}{}}
	s.listener = netlimit.Listen(inner, netlimit.Config{
		Port: "sealed", Limits: config.Limits, Handshake: handshake(config.Identity, config.Accept),
		Logger: config.Logger, Registry: config.Registry,
	})
	return s, nil
}

// handshake is transport.Handshake with an error for clients of protocol version 1,
// which send messages without a handshake.
func handshake(identity *mtls.Identity, accept []mtls.Role) netlimit.Handshake {
	inner := transport.Handshake(identity, accept...)
	return func(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
		conn, owner, err := inner(ctx, raw)
		var header tls.RecordHeaderError
		if errors.As(err, &header) && string(header.RecordHeader[:len(magic)]) == magic {
			err = fmt.Errorf("the client uses version %d of the protocol of sealed files, and reads over HTTP: %w", header.RecordHeader[len(magic)], err)
		}
		return conn, owner, err
	}
}

// Serve lends files until the context ends. It then closes every connection and
// ends every loan before it returns.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	defer s.wg.Wait()
	defer s.close()
	for {
		accepted, err := s.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = accepted.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve on %s: %w", s.config.Path, err)
		}
		conn, ok := accepted.(*transport.Conn)
		if !ok || !s.add(conn) {
			_ = accepted.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.drop(conn)
			s.serve(conn)
		})
	}
}

func (s *Server) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		_ = c.Close()
	}
}

// add adds a connection, unless the server has ended.
func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.conns[c] = struct{}{}
	}
	return !s.ended
}

func (s *Server) drop(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// serve serves a connection within the scope of its peer's certificate.
func (s *Server) serve(conn *transport.Conn) {
	scope, err := mtls.ScopeOfState(conn.ConnectionState())
	if err != nil {
		s.config.Logger.Warn("closing a connection to the socket of sealed files", "error", err)
		return
	}
	s.lend(conn.Packets(), scope)
}
