package server

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Peers sends requests to other masters before and outside Raft. It keeps its
// connections, because forming a cluster needs a response of every master at
// the same time, and on a slow machine a handshake may take as long as the
// whole timeout of a request. It is safe for concurrent use.
type Peers struct {
	identity *mtls.Identity

	mu sync.Mutex
	// conns maps name and address to a connection; nil once closed.
	conns map[[2]string]*grpc.ClientConn
}

var _ consensus.Peers = (*Peers)(nil)

// NewPeers returns a Peers that uses a master's identity. The caller must Close
// it.
func NewPeers(identity *mtls.Identity) *Peers {
	return &Peers{identity: identity, conns: map[[2]string]*grpc.ClientConn{}}
}

// Close closes every connection. Later calls fail.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

// Describe implements consensus.Peers.
func (p *Peers) Describe(ctx context.Context, to topology.Member, request *masterv1.DescribeRequest) (*masterv1.DescribeResponse, error) {
	calls, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	response, err := calls.Describe(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", to.Name, peerError(err))
	}
	return response, nil
}

// Join implements consensus.Peers.
func (p *Peers) Join(ctx context.Context, to topology.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	calls, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	response, err := calls.Join(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("join at %s: %w", to.Name, peerError(err))
	}
	return response, nil
}

// dial returns the connection to a member. A new one connects when it is first
// used.
func (p *Peers) dial(to topology.Member) (masterv1.MemberClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, fmt.Errorf("dial %s: this master is stopping", to.Name)
	}
	key := [2]string{to.Name, to.Address()}
	conn := p.conns[key]
	if conn == nil {
		made, err := p.identity.Dial(to.Address(), mtls.Master, to.Name)
		if err != nil {
			return nil, err
		}
		p.conns[key], conn = made, made
	}
	mtls.Reconnect(conn)
	return masterv1.NewMemberClient(conn), nil
}

// peerError converts a gRPC error of another master.
func peerError(err error) error {
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if follower, ok := detail.(*masterv1.NotLeader); ok {
			return &consensus.NotLeaderError{Leader: follower.GetLeader(), Term: follower.GetTerm(), Address: follower.GetAddress()}
		}
	}
	return fmt.Errorf("%s: %s", s.Code(), s.Message())
}
