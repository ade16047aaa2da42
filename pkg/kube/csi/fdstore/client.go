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
	// redialPause is the wait between attempts to find the keeper.
	redialInterval = 200 * time.Millisecond
	// answerTime bounds one question.
	requestTimeout = 5 * time.Second
	// complainEvery is how often its absence is logged.
	warnInterval = 10 * time.Second
)

// Deposit is what is held for one mount.
type Entry struct {
	Key         string
	Description json.RawMessage
	// Files in the order in which they were given.
	Files []*os.File
}

// Client deposits with a keeper, and deposits again when the keeper is a new
// one.
type Client struct {
	socket string
	log    *slog.Logger

	mu      sync.Mutex
	conn    *net.UnixConn
	entries map[string]Entry
}

// NewClient knows no deposits yet.
func NewClient(socket string, logger *slog.Logger) *Client {
	return &Client{socket: socket, log: logger, entries: map[string]Entry{}}
}

// Connect waits for the keeper, and answers what it holds. Files are the
// caller's.
func (c *Client) Connect(ctx context.Context) ([]Entry, error) {
	for {
		held, err := c.connect(ctx)
		if err == nil {
			return held, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the keeper: %w", err)
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
		return nil, fmt.Errorf("connecting to the keeper: %w", err)
	}
	conn, ok := dialled.(*net.UnixConn)
	if !ok {
		_ = dialled.Close()
		return nil, fmt.Errorf("connecting to the keeper: got a %T", dialled)
	}
	held, err := readEntries(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = conn
	return held, nil
}

// takeBack reads what a keeper says first.
func readEntries(conn *net.UnixConn) ([]Entry, error) {
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, fmt.Errorf("waiting for the keeper: %w", err)
	}
	var held []Entry
	for {
		m, files, err := receive(conn)
		if err != nil {
			for _, d := range held {
				closeFiles(d.Files)
			}
			return nil, err
		}
		switch m.Kind {
		case kindEntry:
			held = append(held, Entry{Key: m.Key, Description: m.Description, Files: files})
		case kindEnd:
			closeFiles(files)
			return held, nil
		default:
			closeFiles(files)
		}
	}
}

// Deposit gives files to the keeper. They stay the caller's, who keeps them open
// until Withdraw. When the keeper does not answer, it gets them from Run later.
func (c *Client) Store(d Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[d.Key] = d
	return c.store(d)
}

func (c *Client) store(d Entry) error {
	return c.request(message{Kind: kindStore, Key: d.Key, Description: d.Description}, d.Files)
}

// Withdraw makes the keeper close its duplicates.
func (c *Client) Remove(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
	return c.request(message{Kind: kindRemove, Key: key}, nil)
}

// ask with mu held. A connection that fails is closed, for Run to find.
func (c *Client) request(m message, files []*os.File) error {
	if c.conn == nil {
		return errors.New("the keeper is away")
	}
	err := c.exchange(m, files)
	var refused rejectedError
	if err != nil && !errors.As(err, &refused) {
		_ = c.conn.Close()
		c.conn = nil
	}
	return err
}

// refusal is what the keeper has against a message.
type rejectedError string

func (r rejectedError) Error() string { return "the keeper refuses: " + string(r) }

func (c *Client) exchange(m message, files []*os.File) error {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return fmt.Errorf("asking the keeper: %w", err)
	}
	if err := send(c.conn, m, files); err != nil {
		return err
	}
	answer, got, err := receive(c.conn)
	closeFiles(got)
	switch {
	case err != nil:
		return err
	case answer.Kind != kindDone || answer.Key != m.Key:
		return fmt.Errorf("the keeper answered %q about %q", answer.Kind, answer.Key)
	case answer.Reason != "":
		return rejectedError(answer.Reason)
	}
	return nil
}

// Connected says whether the keeper was there when last looked at.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// Run looks after the keeper until the context ends: when it went away, waits
// for the next one and deposits everything.
func (c *Client) Run(ctx context.Context) {
	var complained time.Time
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
		if err := c.reconnect(ctx); err != nil && time.Since(complained) > warnInterval {
			c.log.Warn("the keeper is away: mounts do not outlive this process", "error", err)
			complained = time.Now()
		}
	}
}

// there notices the end of a keeper that nobody has asked anything.
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

// again connects and deposits what this client knows. What the keeper holds of
// it was the same.
func (c *Client) reconnect(ctx context.Context) error {
	held, err := c.connect(ctx)
	if err != nil {
		return err
	}
	for _, d := range held {
		closeFiles(d.Files)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range held {
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
	c.log.Info("the keeper is back", "deposits", len(c.entries))
	return nil
}
