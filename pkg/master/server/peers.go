package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/roster"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Peers calls other masters before and outside Raft. It keeps no connection:
// these calls are rare.
type Peers struct{ identity *mtls.Identity }

var _ consensus.Peers = (*Peers)(nil)

// NewPeers calls with a master's identity.
func NewPeers(identity *mtls.Identity) *Peers { return &Peers{identity: identity} }

// Describe implements consensus.Peers.
func (p *Peers) Describe(ctx context.Context, to roster.Member) (*masterv1.DescribeResponse, error) {
	conn, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	answer, err := masterv1.NewMemberClient(conn).Describe(ctx, &masterv1.DescribeRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking %s who it is: %w", to.Name, peerError(err))
	}
	return answer, nil
}

// Join implements consensus.Peers.
func (p *Peers) Join(ctx context.Context, to roster.Member, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	conn, err := p.dial(to)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	answer, err := masterv1.NewMemberClient(conn).Join(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("asking %s to be let in: %w", to.Name, peerError(err))
	}
	return answer, nil
}

func (p *Peers) dial(to roster.Member) (*grpc.ClientConn, error) {
	return p.identity.Dial(to.Address(), mtls.Master, to.Name)
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
