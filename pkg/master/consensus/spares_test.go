package consensus

import (
	"fmt"
	"slices"
	"testing"
)

// hasSpares returns an error unless a member has spare connections to another.
func (c *cluster) hasSpares(from, to int) error {
	m := c.members[from]
	for _, server := range m.node.servers() {
		if nameOf(string(server.ID)) != c.Name(to) {
			continue
		}
		if n := m.node.stream.spares.missing(server.Address); n > 0 {
			return fmt.Errorf("%s lacks %d connections to %s", c.Name(from), n, c.Name(to))
		}
	}
	return nil
}

// TestConnectionsAreReadyForAnElection checks that each member keeps connections to
// each other one, replaces those that the other end closed, and uses none of them.
func TestConnectionsAreReadyForAnElection(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	all := func() error {
		for from := range c.members {
			for to := range c.members {
				if err := c.hasSpares(from, to); from != to && err != nil {
					return err
				}
			}
		}
		return nil
	}
	c.whole()
	c.eventually("wait for spare connections", all)
	ended := (c.leader() + 1) % 3
	from := c.members[(ended+1)%3].node
	address := from.servers()[0].Address
	for _, server := range from.servers() {
		if nameOf(string(server.ID)) == c.Name(ended) {
			address = server.Address
		}
	}
	c.stop(ended)
	c.eventually("wait until the connections to a member that has ended are noticed", func() error {
		if conn, ok := from.stream.spares.take(address); ok {
			_ = conn.Close()
			return fmt.Errorf("a connection to %s is offered", c.Name(ended))
		}
		return nil
	})
	c.start(ended)
	c.whole()
	c.eventually("wait for spare connections after a restart", all)
	from.stream.spares.mu.Lock()
	ready := slices.Clone(from.stream.spares.conns[address])
	from.stream.spares.mu.Unlock()
	from.transport.dropSpares(address)
	for _, c := range ready {
		if silent(c.raw) {
			t.Error("after a failed request, a connection that was ready is open")
		}
	}
}
