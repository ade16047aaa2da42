package consensus

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

const (
	// sparesOfPeer is how many connections to each other member are kept ready: what
	// a new leader needs at once, to send heartbeats and to replicate.
	sparesOfPeer = 2
	// spareInterval is the time between two checks that they are there.
	spareInterval = time.Second
)

// spares are connections to other members that are authenticated and not used yet.
// An election, and the first commands of a new leader, do not wait for handshakes:
// before, no member but the leader has connections. It is safe for concurrent use.
type spares struct {
	mu    sync.Mutex
	conns map[raft.ServerAddress][]spare
}

type spare struct {
	net.Conn
	// raw is the connection below TLS.
	raw net.Conn
}

// take returns a connection to an address that the other end has not closed; false
// when there is none.
func (s *spares) take(address raft.ServerAddress) (net.Conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for all := s.conns[address]; len(all) > 0; all = s.conns[address] {
		next := all[len(all)-1]
		s.conns[address] = all[:len(all)-1]
		if silent(next.raw) {
			return next.Conn, true
		}
		_ = next.Close()
	}
	return nil, false
}

func (s *spares) put(address raft.ServerAddress, c spare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[address] = append(s.conns[address], c)
}

// missing closes the connections to an address that the other end has closed, and
// returns how many are missing.
func (s *spares) missing(address raft.ServerAddress) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []spare
	for _, c := range s.conns[address] {
		if silent(c.raw) {
			open = append(open, c)
		} else {
			_ = c.Close()
		}
	}
	s.conns[address] = open
	return sparesOfPeer - len(open)
}

// drop closes all connections to addresses for which a function returns true.
func (s *spares) drop(unused func(raft.ServerAddress) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, all := range s.conns {
		if !unused(address) {
			continue
		}
		for _, c := range all {
			_ = c.Close()
		}
		delete(s.conns, address)
	}
}

// silent reports whether the other end of a connection has sent nothing, not even
// its end.
func silent(raw net.Conn) bool {
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		return false
	}
	control, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	if err := control.Read(func(fd uintptr) bool {
		_, _, failed = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	}); err != nil {
		return false
	}
	return errors.Is(failed, unix.EAGAIN)
}

// keepSpares opens the connections that are missing, until the node stops.
func (n *Node) keepSpares() {
	for n.pause(spareInterval) {
		servers := n.servers()
		used := map[raft.ServerAddress]bool{}
		for _, peer := range servers {
			used[peer.Address] = peer.ID != n.id
		}
		n.stream.spares.drop(func(address raft.ServerAddress) bool { return !used[address] })
		for _, peer := range servers {
			if peer.ID == n.id || !n.transport.reachable.of(peer.ID) {
				continue
			}
			for range n.stream.spares.missing(peer.Address) {
				if !n.stream.prepare(peer.Address) {
					break
				}
			}
		}
	}
}

// prepare opens a connection for later.
func (s *stream) prepare(address raft.ServerAddress) bool {
	conn, raw, err := s.dial(address, transportTimeout)
	if err != nil {
		return false // a request will report it
	}
	s.spares.put(address, spare{conn, raw})
	return true
}
