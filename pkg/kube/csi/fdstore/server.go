//go:build linux

package fdstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Keeper holds deposits.
type Server struct {
	log *slog.Logger

	mu      sync.Mutex
	entries map[string]storedEntry
	client  *net.UnixConn
}

type storedEntry struct {
	description []byte
	files       []*os.File
}

// New makes a keeper that holds nothing.
func NewServer(logger *slog.Logger) *Server {
	return &Server{log: logger, entries: map[string]storedEntry{}}
}

// Serve takes deposits at a socket until the context ends, and lets go of
// everything then. What lies at the socket's path from a killed run is replaced.
func (k *Server) Serve(ctx context.Context, socket string) error {
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	defer k.closeEntries()
	var group sync.WaitGroup
	defer group.Wait()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close(); k.replaceClient(nil) })
	defer stop()
	for {
		conn, err := listener.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting at %s: %w", socket, err)
		}
		if err := checkPeer(conn); err != nil {
			k.log.Warn("refused a connection", "error", err)
			_ = conn.Close()
			continue
		}
		k.replaceClient(conn)
		group.Go(func() {
			err := k.serveClient(conn)
			_ = conn.Close()
			k.log.Info("the client is gone", "reason", err)
		})
	}
}

// listen at the socket, in place of what a killed keeper left there.
func listen(socket string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, fmt.Errorf("listening on %s: %w", socket, err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listening on %s: %w", socket, err)
	}
	listener, err := net.ListenUnix(fdsock.Network, &net.UnixAddr{Name: socket, Net: fdsock.Network})
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", socket, err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("listening on %s: %w", socket, err)
	}
	return listener, nil
}

// replaceClient ends the connection of the one before: it is dead, or about to
// be.
func (k *Server) replaceClient(conn *net.UnixConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		_ = k.client.Close()
	}
	k.client = conn
}

// attend returns what is held and takes deposits until the client is gone.
func (k *Server) serveClient(conn *net.UnixConn) error {
	if err := k.sendEntries(conn); err != nil {
		return err
	}
	for {
		m, files, err := receive(conn)
		if err != nil {
			return err
		}
		answer := message{Kind: kindDone, Key: m.Key}
		if err := k.handle(m, files); err != nil {
			closeFiles(files)
			answer.Reason = err.Error()
		}
		if err := send(conn, answer, nil); err != nil {
			return err
		}
	}
}

// handBack sends duplicates of everything.
func (k *Server) sendEntries(conn *net.UnixConn) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, d := range k.entries {
		held := message{Kind: kindEntry, Key: key, Description: d.description}
		if err := send(conn, held, d.files); err != nil {
			return err
		}
	}
	k.log.Info("a client is connected", "held", len(k.entries))
	return send(conn, message{Kind: kindEnd}, nil)
}

func (k *Server) handle(m message, files []*os.File) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch m.Kind {
	case kindStore:
		if err := k.validate(m, files); err != nil {
			return err
		}
		closeFiles(k.entries[m.Key].files)
		k.entries[m.Key] = storedEntry{description: m.Description, files: files}
		k.log.Info("holding", "key", m.Key, "files", len(files))
	case kindRemove:
		closeFiles(files)
		closeFiles(k.entries[m.Key].files)
		delete(k.entries, m.Key)
		k.log.Info("let go", "key", m.Key)
	default:
		return fmt.Errorf("nothing is known of %q", m.Kind)
	}
	return nil
}

func (k *Server) validate(m message, files []*os.File) error {
	_, known := k.entries[m.Key]
	switch {
	case m.Key == "":
		return errors.New("a deposit needs a key")
	case len(files) == 0:
		return fmt.Errorf("deposit %s has no files", m.Key)
	case len(m.Description) > MaxDescription:
		return fmt.Errorf("deposit %s: a description of %d bytes is more than %d", m.Key, len(m.Description), MaxDescription)
	case !known && len(k.entries) >= MaxEntries:
		return fmt.Errorf("deposit %s: %d are held already", m.Key, len(k.entries))
	}
	return nil
}

func (k *Server) closeEntries() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, d := range k.entries {
		closeFiles(d.files)
		delete(k.entries, key)
	}
}

// Held is how many deposits there are.
func (k *Server) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.entries)
}

// checkPeer lets this user and root in.
func checkPeer(conn *net.UnixConn) error {
	peer, err := fdsock.Peer(conn)
	if err == nil && peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("it is of user %d", peer.Uid)
	}
	return err
}
