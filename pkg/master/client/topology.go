package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// member is one master and the connection to it.
type member struct {
	topology.Member
	conn *grpc.ClientConn
}

// members are the masters that a client calls. It is safe for concurrent use.
type members struct {
	mu sync.Mutex
	// list is replaced, never changed.
	list   []*member
	closed bool
}

// all returns the masters, which the caller must not change.
func (m *members) all() []*member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}

// named returns the master with a name.
func (m *members) named(name string) (*member, error) {
	var names []string
	for _, member := range m.all() {
		if member.Name == name {
			return member, nil
		}
		names = append(names, member.Name)
	}
	return nil, fmt.Errorf("%s is not a master of this runtime: the masters are %v", name, names)
}

// replace sets the list to what next returns, and closes the connections of masters
// that it leaves out.
func (m *members) replace(next func(list []*member) ([]*member, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errors.New("the client is closed")
	}
	list, err := next(m.list)
	for _, old := range m.list {
		if !slices.Contains(list, old) {
			_ = old.conn.Close()
		}
	}
	m.list = list
	return err
}

func (m *members) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, member := range m.list {
		_ = member.conn.Close()
	}
}

// SetTopology replaces the masters. Connections to those that remain are kept; calls
// of others fail, and commands continue at those that remain. A leader that the
// topology does not list is learned again when it is named.
func (c *Client) SetTopology(next topology.Topology) error {
	return c.members.replace(func(list []*member) ([]*member, error) {
		var all, dialled []*member
		for _, m := range next.Masters {
			known := slices.IndexFunc(list, func(old *member) bool { return old.Member == m })
			if known >= 0 {
				all = append(all, list[known])
				continue
			}
			made, err := c.dial(m)
			if err != nil {
				for _, unused := range dialled {
					_ = unused.conn.Close()
				}
				return list, err
			}
			all, dialled = append(all, made), append(dialled, made)
		}
		return all, nil
	})
}

// Follow makes the client call the masters that a topology file lists, as the file
// changes, until ctx is done. It calls changed, unless nil, with each topology.
func (c *Client) Follow(ctx context.Context, path string, changed func(topology.Topology)) {
	failed := func(err error) { c.config.Logger.Warn("the masters stay as they are", "error", err) }
	topology.Watch(ctx, path, c.config.Topology, topology.WatchInterval, func(next topology.Topology) {
		if err := c.SetTopology(next); err != nil {
			failed(err)
		}
		if changed != nil {
			changed(next)
		}
	}, failed)
}

// learn adds a leader that the topology does not list yet: masters may be added
// before every client has the new topology.
func (c *Client) learn(redirect *masterv1.NotLeader) {
	host, port, err := net.SplitHostPort(redirect.GetAddress())
	number, invalid := strconv.Atoi(port)
	if err != nil || invalid != nil || redirect.GetLeader() == "" {
		return
	}
	err = c.members.replace(func(list []*member) ([]*member, error) {
		if slices.ContainsFunc(list, func(m *member) bool { return m.Name == redirect.GetLeader() }) {
			return list, nil
		}
		// The certificate must be that of a master with this name.
		learned, err := c.dial(topology.Member{Name: redirect.GetLeader(), Host: host, Port: number})
		if err != nil {
			return list, err
		}
		return append(slices.Clone(list), learned), nil
	})
	if err != nil {
		c.config.Logger.Debug("cannot use a master that another one named", "member", redirect.GetLeader(), "error", err)
	}
}

// dial returns a master with a connection, which connects when it is first used.
func (c *Client) dial(m topology.Member) (*member, error) {
	options := []grpc.DialOption{grpc.WithStatsHandler(sentHandler{}), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse))}
	if c.config.Dial != nil {
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.config.Dial(ctx, m) }))
	}
	conn, err := c.config.Identity.Dial(m.Address(), mtls.Master, m.Name, options...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", m.Name, err)
	}
	return &member{Member: m, conn: conn}, nil
}
