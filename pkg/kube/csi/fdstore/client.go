//go:build linux

package fdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

const (
	// redialInterval is the time between attempts to connect.
	redialInterval = 200 * time.Millisecond
	// requestTimeout is the timeout of one request.
	requestTimeout = 5 * time.Second
	// warnInterval is the minimum time between warnings about a failed
	// connection.
	warnInterval = 10 * time.Second
)

// Entry is the state stored for one mount.
type Entry struct {
	Key         string
	Description json.RawMessage
	// Files are in the order in which they were stored.
	Files []*os.File
}

// Client stores entries in a server and, through Run, stores them again after
// the server has restarted. It is safe for concurrent use.
type Client struct {
	socket string
	log    *slog.Logger

	mu      sync.Mutex
	conn    *net.UnixConn
	entries map[string]Entry
}

// NewClient returns a client without entries. It does not connect.
func NewClient(socket string, logger *slog.Logger) *Client {
	return &Client{socket: socket, log: logger, entries: map[string]Entry{}}
}

// Connect waits for the server and returns its entries. The caller owns the
// files.
func (c *Client) Connect(ctx context.Context) ([]Entry, error) {
	for {
		entries, err := c.connect(ctx)
		if err == nil {
			return entries, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for descriptor store: %w", err)
		case <-time.After(redialInterval):
		}
	}
}

func (c *Client) connect(ctx context.Context) ([]Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var dialer net.Dialer
	dialled, err := dialer.DialContext(ctx, fdsock.Network, c.socket)
	if err != nil {
		return nil, fmt.Errorf("connect to descriptor store: %w", err)
	}
	conn, ok := dialled.(*net.UnixConn)
	if !ok {
		_ = dialled.Close()
		return nil, fmt.Errorf("connect to descriptor store: unexpected connection type %T", dialled)
	}
	entries, err := readEntries(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = conn
	return entries, nil
}

// readEntries reads the entries that a server sends to a new client.
func readEntries(conn *net.UnixConn) ([]Entry, error) {
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, fmt.Errorf("wait for descriptor store: %w", err)
	}
	var entries []Entry
	for {
		m, files, err := receive(conn)
		if err != nil {
			for _, d := range entries {
				closeFiles(d.Files)
			}
			return nil, err
		}
		switch m.Kind {
		case kindEntry:
			entries = append(entries, Entry{Key: m.Key, Description: m.Description, Files: files})
		case kindEnd:
			closeFiles(files)
			return entries, nil
		default:
			closeFiles(files)
		}
	}
}

// Store stores an entry. The caller keeps ownership of the files and must keep
// them open until Remove. If the server is unavailable, Store returns an error
// and Run stores the entry later.
func (c *Client) Store(d Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[d.Key] = d
	return c.store(d)
}

func (c *Client) store(d Entry) error {
	return c.request(message{Kind: kindStore, Key: d.Key, Description: d.Description}, d.Files)
}

// Remove removes an entry; the server closes its duplicates of the files.
func (c *Client) Remove(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
	return c.request(message{Kind: kindRemove, Key: key}, nil)
}

// request sends a request with c.mu held. It closes a connection that fails; Run
// reconnects.
func (c *Client) request(m message, files []*os.File) error {
	if c.conn == nil {
		return errors.New("descriptor store is not connected")
	}
	err := c.exchange(m, files)
	var rejected rejectedError
	if err != nil && !errors.As(err, &rejected) {
		_ = c.conn.Close()
		c.conn = nil
	}
	return err
}

// rejectedError is the server's reason for rejecting a request.
type rejectedError string

func (r rejectedError) Error() string { return "descriptor store rejected the request: " + string(r) }

func (c *Client) exchange(m message, files []*os.File) error {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := send(c.conn, m, files); err != nil {
		return err
	}
	response, files, err := receive(c.conn)
	closeFiles(files)
	switch {
	case err != nil:
		return err
	case response.Kind != kindDone || response.Key != m.Key:
		return fmt.Errorf("unexpected response %q for key %q", response.Kind, response.Key)
	case response.Reason != "":
		return rejectedError(response.Reason)
	}
	return nil
}

// Connected reports whether the client was connected at the last check.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// Run watches the connection until ctx ends. When the connection is lost, it
// reconnects and stores all entries again.
func (c *Client) Run(ctx context.Context) {
	var warned time.Time
	tick := time.NewTicker(redialInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.mu.Lock()
			if c.conn != nil {
				_ = c.conn.Close()
				c.conn = nil
			}
			c.mu.Unlock()
			return
		case <-tick.C:
		}
		if c.checkConnection() {
			continue
		}
		if err := c.reconnect(ctx); err != nil && time.Since(warned) > warnInterval {
			c.log.Warn("descriptor store is unavailable: mounts do not survive a restart of this process", "error", err)
			warned = time.Now()
		}
	}
}

// checkConnection reports whether the client is connected, and closes a
// connection that the server has closed.
func (c *Client) checkConnection() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return false
	}
	if peerClosed(c.conn) {
		_ = c.conn.Close()
		c.conn = nil
		return false
	}
	return true
}

// reconnect connects, removes unknown entries from the server and stores those of
// this client. Entries that the server returns are duplicates of these.
func (c *Client) reconnect(ctx context.Context) error {
	entries, err := c.connect(ctx)
	if err != nil {
		return err
	}
	for _, d := range entries {
		closeFiles(d.Files)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range entries {
		if _, known := c.entries[d.Key]; !known {
			if err := c.request(message{Kind: kindRemove, Key: d.Key}, nil); err != nil {
				return err
			}
		}
	}
	for _, d := range c.entries {
		if err := c.store(d); err != nil {
			return err
		}
	}
	c.log.Info("descriptor store is connected again", "entries", len(c.entries))
	return nil
}
