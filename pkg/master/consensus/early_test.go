package consensus

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestAClosedConnectionStartsAnElection: of the survivors of a leader whose
// connections were closed, one becomes a candidate, although it would wait an hour
// for its heartbeats.
func TestAClosedConnectionStartsAnElection(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	c.propose("before")
	for i, m := range c.members {
		if i == leader {
			continue
		}
		config := m.node.raft.ReloadableConfig()
		config.HeartbeatTimeout, config.ElectionTimeout = time.Hour, time.Hour
		if err := m.node.raft.ReloadConfig(config); err != nil {
			t.Fatal(err)
		}
	}
	c.kill(leader)
	c.eventually("wait for a candidate", func() error {
		for _, m := range c.members {
			if m != nil && m.node.raft.State() != raft.Follower {
				return nil
			}
		}
		return errors.New("all survivors are followers")
	})
	// Two candidates would wait for an hour.
	for i := range c.members {
		c.kill(i)
	}
	c.startAll()
	c.propose("after")
	c.agree("before", "after")
}

// TestConnectionsOfALiveLeaderMayBreak: a leader whose connections are closed
// again and again, and that connects again, remains the leader of its term.
func TestConnectionsOfALiveLeaderMayBreak(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(c *Config) {
		// In which a leader connects again on a busy machine.
		c.Heartbeat, c.Election, c.Lease = 4*time.Second, 4*time.Second, 3*time.Second
	})
	c.startAll()
	leader := c.whole()
	term := c.members[leader].node.raft.CurrentTerm()
	for round := range 10 {
		for i, m := range c.members {
			if i != leader {
				m.node.stream.breakInbound()
			}
		}
		c.propose(fmt.Sprintf("round %d", round))
		c.eventually("wait for the leader to connect again", func() error {
			for i, m := range c.members {
				if i != leader && !m.node.stream.connected(string(c.id(leader))) {
					return errors.New("the leader is not connected")
				}
			}
			return nil
		})
	}
	if got := c.members[leader].node.raft.CurrentTerm(); got != term || c.leader() != leader {
		t.Errorf("%s leads in term %d, not %s in term %d", c.Name(c.leader()), got, c.Name(leader), term)
	}
}

// TestALostPeerStartsNoElection: only the loss of the leader does.
func TestALostPeerStartsNoElection(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	follower := c.members[(leader+1)%3].node
	term := follower.raft.CurrentTerm()
	follower.electEarly(c.id((leader + 2) % 3))
	if follower.early.Load() != nil || follower.raft.CurrentTerm() != term {
		t.Error("the loss of a follower started an election")
	}
	// A hint about a leader that is in contact ends without an election, also
	// where it has no connection that is counted.
	follower.stream.forget(string(c.id(leader)))
	follower.electEarly(c.id(leader))
	if follower.early.Load() != nil || follower.raft.State() != raft.Follower {
		t.Error("a leader in contact lost a follower")
	}
	c.propose("x")
}

// forget drops the count of a member's connections.
func (s *stream) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbound[id] = 0
}

// breakInbound closes every connection that was accepted.
func (s *stream) breakInbound() {
	s.mu.Lock()
	var open []net.Conn
	for conn := range s.conns {
		if kept, ok := conn.(*keptConn); ok {
			if _, accepted := kept.Conn.(interface{ RemoteAddr() net.Addr }); accepted && s.accepted(kept) {
				open = append(open, conn)
			}
		}
	}
	s.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
}

// accepted reports whether a connection was accepted: its local address is that
// of the listener.
func (s *stream) accepted(conn net.Conn) bool {
	return conn.LocalAddr().String() == s.listener.Addr().String()
}
