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

// Peers calls other masters before and outside Raft. It keeps its connections:
// forming needs an answer of every master at one moment, and on a machine that
// is short of time a handshake may take as long as a whole question may. It is
// safe for concurrent use.
type Peers struct {
	identity *mtls.Identity

	mu sync.Mutex
	// conns by name and address; nil once closed.
	conns map[[2]string]*grpc.ClientConn
}

var _ consensus.Peers = (*Peers)(nil)

// NewPeers calls with a master's identity. Close it.
func NewPeers(identity *mtls.Identity) *Peers {
	return &Peers{identity: identity, conns: map[[2]string]*grpc.ClientConn{}}
}

// Close ends every connection; calls fail from here on.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

// Describe implements consensus.Peers.
func (p *Peers) Describe(ctx context.Context, to topology.Member) (*masterv1.DescribeResponse, error) {
	calls, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	answer, err := calls.Describe(ctx, &masterv1.DescribeRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking %s who it is: %w", to.Name, peerError(err))
	}
	return answer, nil
}

// Join implements consensus.Peers.
func (p *Peers) Join(ctx context.Context, to topology.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	calls, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	answer, err := calls.Join(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("asking %s to be let in: %w", to.Name, peerError(err))
	}
	return answer, nil
}

// dial finds the connection to a member, or makes one, which connects when it
// is used.
func (p *Peers) dial(to topology.Member) (masterv1.MemberClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, fmt.Errorf("calling %s: this master is stopping", to.Name)
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
	conn.ResetConnectBackoff()
	return masterv1.NewMemberClient(conn), nil
}

// peerError is what the other end meant.
func peerError(err error) error {
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if follower, ok := detail.(*masterv1.NotLeader); ok {
			return &consensus.NotLeaderError{Leader: follower.GetLeader(), Term: follower.GetTerm()}
		}
	}
	return fmt.Errorf("%s: %s", s.Code(), s.Message())
}
