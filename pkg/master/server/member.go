package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/version"
)

// Status implements masterv1.MemberServer. It returns this member's own view.
func (s *Server) Status(context.Context, *masterv1.StatusRequest) (*masterv1.StatusResponse, error) {
	response := s.config.Consensus.Status()
	response.Version = version.String()
	response.Digests = s.digests()
	response.Snapshots = s.schedule.state()
	return response, nil
}

// TransferLeadership implements masterv1.MemberServer.
func (s *Server) TransferLeadership(ctx context.Context, r *masterv1.TransferLeadershipRequest) (*masterv1.TransferLeadershipResponse, error) {
	if r.GetTo() != "" {
		if !s.config.Consensus.Admits(r.GetTo()) {
			return nil, invalid("invalid to %q: not a master of this runtime: write one of %v", r.GetTo(), s.masters())
		}
	}
	leader, err := s.config.Consensus.Transfer(ctx, r.GetTo())
	if err != nil {
		return nil, memberFailure(err)
	}
	s.config.Logger.Info("leadership transferred", "leader", leader, "peer", caller(ctx).String())
	return &masterv1.TransferLeadershipResponse{Leader: leader}, nil
}

// Describe implements masterv1.MemberServer.
func (s *Server) Describe(ctx context.Context, r *masterv1.DescribeRequest) (*masterv1.DescribeResponse, error) {
	if err := s.checkListed(ctx); err != nil {
		return nil, err
	}
	if from := caller(ctx); r.GetMemberId() != "" && !consensus.IsMemberOf(from.Name, r.GetMemberId()) {
		return nil, status.Error(codes.PermissionDenied, fmt.Sprintf("%s may describe only itself, not %s", from, r.GetMemberId()))
	}
	return s.config.Consensus.Describe(r), nil
}

// Join implements masterv1.MemberServer. A master that is not listed any more may
// learn that it was removed.
func (s *Server) Join(ctx context.Context, r *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	if err := s.checkListed(ctx); err != nil && !r.GetHasState() {
		return nil, err
	}
	if r.GetName() == "" {
		return nil, invalid("name is missing")
	}
	if from := caller(ctx); r.GetName() != from.Name {
		return nil, status.Error(codes.PermissionDenied, fmt.Sprintf("%s may join only as itself, not as %s", from, r.GetName()))
	}
	response, err := s.config.Consensus.AddMember(ctx, r)
	if err != nil {
		return nil, memberFailure(err)
	}
	return response, nil
}

// checkListed rejects callers that are neither masters of the topology nor members.
func (s *Server) checkListed(ctx context.Context) error {
	from := caller(ctx)
	if !s.config.Consensus.Admits(from.Name) {
		return status.Error(codes.PermissionDenied, fmt.Sprintf("%s is not a master of this runtime: the masters are %v", from, s.masters()))
	}
	return nil
}

func (s *Server) masters() []string {
	var names []string
	for _, m := range s.config.Consensus.Topology().Masters {
		names = append(names, m.Name)
	}
	return names
}

// memberFailure converts an error of a change of members or leadership for the
// client. Most describe the state of the cluster.
func memberFailure(err error) error {
	var follower *consensus.NotLeaderError
	if errors.As(err, &follower) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return failure(err)
	}
	return status.Error(codes.FailedPrecondition, err.Error())
}
