//go:build linux

package fdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Server stores entries. It is safe for concurrent use.
type Server struct {
	log *slog.Logger

	mu      sync.Mutex
	entries map[string]storedEntry

	// clientMu guards client. It is separate from mu, which is held while entries
	// are sent: closing the connection of a client that does not receive ends
	// that.
	clientMu sync.Mutex
	client   *net.UnixConn
}

type storedEntry struct {
	description []byte
	files       []*os.File
}

// NewServer returns an empty server.
func NewServer(logger *slog.Logger) *Server {
	return &Server{log: logger, entries: map[string]storedEntry{}}
}

// Serve accepts clients at a socket until ctx ends, and then closes all entries.
// It replaces a stale socket of an earlier run.
func (s *Server) Serve(ctx context.Context, socket string) error {
	listener, err := fdsock.Listen(fdsock.Network, socket, fdsock.NoGroup)
	if err != nil {
		return err
	}
	defer s.closeEntries()
	var group sync.WaitGroup
	defer group.Wait()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close(); s.replaceClient(nil) })
	defer stop()
	for {
		conn, err := fdsock.Accept(ctx, listener, func(err error) { s.log.Warn("cannot accept a connection", "error", err) })
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept at %s: %w", socket, err)
		}
		if err := checkPeer(conn); err != nil {
			s.log.Warn("connection rejected", "error", err)
			_ = conn.Close()
			continue
		}
		s.replaceClient(conn)
		group.Go(func() {
			err := s.serveClient(conn)
			_ = conn.Close()
			s.log.Info("client disconnected", "error", err)
		})
	}
}

// replaceClient closes the connection of the previous client and records conn as
// the current one.
func (s *Server) replaceClient(conn *net.UnixConn) {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	if s.client != nil {
		_ = s.client.Close()
	}
	s.client = conn
}

// serveClient sends all entries to a client and then handles its requests until
// the connection ends.
func (s *Server) serveClient(conn *net.UnixConn) error {
	if err := s.sendEntries(conn); err != nil {
		return err
	}
	for {
		m, files, err := receive(conn)
		if err != nil {
			return err
		}
		response := message{Kind: kindDone, Key: m.Key}
		if err := s.handle(m, files); err != nil {
			closeFiles(files)
			response.Reason = err.Error()
		}
		if err := send(conn, response, nil); err != nil {
			return err
		}
	}
}

// sendEntries sends duplicates of all entries.
func (s *Server) sendEntries(conn *net.UnixConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, d := range s.entries {
		m := message{Kind: kindEntry, Key: key, Description: d.description}
		if err := send(conn, m, d.files); err != nil {
			return err
		}
	}
	s.log.Info("client connected", "entries", len(s.entries))
	return send(conn, message{Kind: kindEnd}, nil)
}

func (s *Server) handle(m message, files []*os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.Kind {
	case kindStore:
		if err := s.validate(m, files); err != nil {
			return err
		}
		closeFiles(s.entries[m.Key].files)
		s.entries[m.Key] = storedEntry{description: m.Description, files: files}
		s.log.Info("entry stored", "key", m.Key, "files", len(files))
	case kindRemove:
		closeFiles(files)
		closeFiles(s.entries[m.Key].files)
		delete(s.entries, m.Key)
		s.log.Info("entry removed", "key", m.Key)
	default:
		return fmt.Errorf("unknown message kind %q", m.Kind)
	}
	return nil
}

func (s *Server) validate(m message, files []*os.File) error {
	_, known := s.entries[m.Key]
	switch {
	case m.Key == "":
		return errors.New("entry has no key")
	case len(files) == 0:
		return fmt.Errorf("entry %s has no files", m.Key)
	case len(m.Description) > MaxDescription:
		return fmt.Errorf("entry %s: description of %d bytes exceeds the limit of %d", m.Key, len(m.Description), MaxDescription)
	case !known && len(s.entries) >= MaxEntries:
		return fmt.Errorf("entry %s: store is full (%d entries)", m.Key, len(s.entries))
	}
	return nil
}

func (s *Server) closeEntries() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, d := range s.entries {
		closeFiles(d.files)
		delete(s.entries, key)
	}
}

// checkPeer returns an error unless the peer runs as root or as this user.
func checkPeer(conn *net.UnixConn) error {
	peer, err := fdsock.Peer(conn)
	if err == nil && peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("peer runs as user %d", peer.Uid)
	}
	return err
}
