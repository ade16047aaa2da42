package consensus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Limits are those of the Raft port. A master holds a few connections to each
// other one. After it has restarted, those of the earlier process may remain
// until the system notices, so that its newest connections replace its oldest.
// Authenticated connections have no idle timeout: between two elections they are
// idle, and an election must not wait for new ones.
func Limits() netlimit.Limits {
	return netlimit.Limits{
		Pending: 1024, PerAddress: 128, Reserved: 64, Handshake: transportTimeout,
		Open: 256, PerOwner: 32, PerOwnerAddress: 32, Replace: true,
	}
}

// stream opens and accepts Raft's connections. Each connection that it returns
// is authenticated and has exchanged preambles. It implements raft.StreamLayer.
type stream struct {
	cluster  string
	id       string
	address  raft.ServerAddress
	masters  addressBook
	identity *mtls.Identity
	listener *netlimit.Listener
	secure   netlimit.Handshake
	// stopped is done when the stream is closed.
	stopped context.Context
	stop    context.CancelFunc

	mu sync.Mutex
	// conns holds all open connections, so that Close can close them.
	conns  map[net.Conn]struct{}
	closed bool
	// inbound counts the authenticated connections from each member.
	inbound map[string]int

	// spares are open connections that Dial uses first.
	spares spares

	// lost has the ids of members whose last connection was closed. Those that
	// find it full are dropped.
	lost chan string
}

var _ raft.StreamLayer = (*stream)(nil)

// addressBook names the masters that a stream connects to and accepts.
type addressBook struct {
	self topology.Member
	// find returns the present address of a master, admits reports whether one may
	// connect.
	find   func(name string) (topology.Member, bool)
	admits func(name string) bool
}

func listen(c *Config, masters addressBook, id string) (*stream, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", c.RaftListen)
	if err != nil {
		return nil, fmt.Errorf("listen for other masters: %w", err)
	}
	s := &stream{
		cluster:  c.ClusterID,
		id:       id,
		address:  serverAddress(masters.self.RaftAddress(), id),
		masters:  masters,
		identity: c.Identity,
		secure:   c.Identity.Handshake(mtls.Master),
		conns:    map[net.Conn]struct{}{},
		inbound:  map[string]int{},
		lost:     make(chan string, 16),
		spares:   spares{conns: map[raft.ServerAddress][]spare{}},
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	limits := c.Connections
	if limits == (netlimit.Limits{}) {
		limits = Limits()
	}
	s.listener = netlimit.Listen(listener, netlimit.Config{
		Port: "raft", Limits: limits, Handshake: s.handshake, Addresses: c.Addresses, Logger: c.Logger, Registry: c.Registry,
	})
	return s, nil
}

// handshake authenticates a connection and runs the listener's side of the
// exchange of preambles. It implements netlimit.Handshake.
func (s *stream) handshake(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
	conn, owner, err := s.secure(ctx, raw)
	if err != nil {
		return nil, "", err
	}
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil, "", fmt.Errorf("handshake: got a %T", conn)
	}
	from, err := s.acceptPreamble(secured)
	if err != nil {
		return conn, owner, err
	}
	return s.count(conn, from), owner, nil
}

// acceptPreamble reads the preamble of the dialling member, responds, and returns
// its id. The listener closes the connection when this takes too long.
func (s *stream) acceptPreamble(conn *tls.Conn) (string, error) {
	peer, err := mtls.PeerOfState(conn.ConnectionState())
	if err != nil {
		return "", fmt.Errorf("handshake: %w", err)
	}
	received, err := readPreamble(conn)
	if err != nil {
		return "", err
	}
	refusal := s.checkPreamble(received, peer)
	response := preamble{cluster: s.cluster, to: received.from, from: s.id}
	if refusal != nil {
		response.refusal = refusal.Error()
	}
	if err := send(conn, response); err != nil {
		return "", errors.Join(refusal, err)
	}
	return received.from, refusal
}

// count counts a connection from a member until it is closed.
func (s *stream) count(conn net.Conn, from string) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbound[from]++
	return &countedConn{Conn: conn, stream: s, from: from}
}

// connected reports whether a member has a connection to this one.
func (s *stream) connected(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inbound[id] > 0
}

// countedConn is a connection from a member.
type countedConn struct {
	net.Conn
	stream *stream
	from   string
	once   sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

func (c *countedConn) leave() {
	s := c.stream
	s.mu.Lock()
	s.inbound[c.from]--
	last := s.inbound[c.from] == 0
	if last {
		delete(s.inbound, c.from)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	select {
	case s.lost <- c.from:
	default:
	}
}

// checkPreamble returns an error when the dialling member must be rejected.
func (s *stream) checkPreamble(received preamble, peer mtls.Peer) error {
	if !s.masters.admits(peer.Name) {
		return fmt.Errorf("%s is not a master of the topology", peer)
	}
	switch {
	case received.cluster != s.cluster:
		return fmt.Errorf("%s belongs to cluster %q, this member to %q", peer, received.cluster, s.cluster)
	case received.to != s.id:
		return fmt.Errorf("%s expects member %q, but this is %q", peer, received.to, s.id)
	case nameOf(received.from) != peer.Name:
		return fmt.Errorf("member id %[2]q does not match the name of %[1]s", peer, received.from)
	}
	return nil
}

func send(conn net.Conn, p preamble) error {
	raw, err := p.encode()
	if err != nil {
		return err
	}
	if _, err := conn.Write(raw); err != nil {
		return fmt.Errorf("send preamble: %w", err)
	}
	return nil
}

// Accept implements raft.StreamLayer.
func (s *stream) Accept() (net.Conn, error) {
	conn, err := s.listener.Accept()
	if err != nil {
		return nil, err
	}
	kept, ok := s.keep(conn)
	if !ok {
		return nil, net.ErrClosed
	}
	return kept, nil
}

// Dial implements raft.StreamLayer.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if conn, ok := s.spares.take(address); ok {
		return conn, nil
	}
	conn, _, err := s.dial(address, timeout)
	return conn, err
}

// dial returns a new connection, and the one below TLS. The host name is resolved
// at every dial. The topology's address of a member takes precedence over that of
// the configuration, which is used for members that no topology has listed.
func (s *stream) dial(address raft.ServerAddress, timeout time.Duration) (conn, raw net.Conn, err error) {
	hostPort, id := splitAddress(address)
	if id == "" {
		return nil, nil, fmt.Errorf("dial %s: address has no member id", address)
	}
	name := nameOf(id)
	if member, known := s.masters.find(name); known {
		hostPort = member.RaftAddress()
	}
	ctx, cancel := context.WithTimeout(s.stopped, timeout)
	defer cancel()
	var dialer net.Dialer
	raw, err = dialer.DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, nil, fmt.Errorf("dial %s: %w", id, err)
	}
	kept, ok := s.keep(raw)
	if !ok {
		return nil, nil, fmt.Errorf("dial %s: %w", id, net.ErrClosed)
	}
	secured := tls.Client(kept, s.identity.ClientConfig(mtls.Master, name))
	if err := s.sendPreamble(ctx, secured, id, timeout); err != nil {
		_ = secured.Close()
		return nil, nil, fmt.Errorf("dial %s at %s: %w", id, hostPort, err)
	}
	return secured, raw, nil
}

// sendPreamble runs the dialler's side of the handshake.
func (s *stream) sendPreamble(ctx context.Context, conn *tls.Conn, id string, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := send(conn, preamble{cluster: s.cluster, to: id, from: s.id}); err != nil {
		return err
	}
	response, err := readPreamble(conn)
	switch {
	case err != nil:
		return err
	case response.refusal != "":
		return fmt.Errorf("rejected: %s", response.refusal)
	case response.cluster != s.cluster:
		return fmt.Errorf("it belongs to cluster %q, this member to %q", response.cluster, s.cluster)
	case response.from != id || response.to != s.id:
		return fmt.Errorf("it is member %q and expects %q, but this is %q", response.from, response.to, s.id)
	}
	return conn.SetDeadline(time.Time{})
}

// Addr implements net.Listener. It returns the address at which others dial
// this member, not the one that it listens on.
func (s *stream) Addr() net.Addr { return raftAddr(s.address) }

type raftAddr raft.ServerAddress

func (raftAddr) Network() string  { return "raft" }
func (a raftAddr) String() string { return string(a) }

// Close closes the listener and every connection.
func (s *stream) Close() error {
	s.stop()
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	open := make([]net.Conn, 0, len(s.conns))
	for conn := range s.conns {
		open = append(open, conn)
	}
	s.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
	return err
}

// keep records a connection until it is closed. If the stream is closed
// already, it closes the connection and returns false.
func (s *stream) keep(conn net.Conn) (net.Conn, bool) {
	kept := &keptConn{Conn: conn, stream: s}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.conns[kept] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		_ = conn.Close() // which takes the lock when the connection is counted
		return nil, false
	}
	return kept, true
}

type keptConn struct {
	net.Conn
	stream *stream
}

func (c *keptConn) Close() error {
	c.stream.mu.Lock()
	delete(c.stream.conns, c)
	c.stream.mu.Unlock()
	return c.Conn.Close()
}
