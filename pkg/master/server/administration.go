package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// RemovePeer implements masterv1.MemberServer.
func (s *Server) RemovePeer(ctx context.Context, r *masterv1.RemovePeerRequest) (*masterv1.RemovePeerResponse, error) {
	if r.GetMember() == "" {
		return nil, invalid("member is missing: give the name or the id of a member")
	}
	id, err := s.config.Consensus.RemoveMember(ctx, r.GetMember())
	if err != nil {
		return nil, memberFailure(err)
	}
	s.config.Logger.Warn("a member was removed", "member", id, "peer", caller(ctx).String())
	return &masterv1.RemovePeerResponse{MemberId: id}, nil
}

// Checksums implements masterv1.MemberServer.
func (s *Server) Checksums(ctx context.Context, r *masterv1.ChecksumsRequest) (*masterv1.ChecksumsResponse, error) {
	if r.GetLast() != 0 && r.GetFirst() > r.GetLast() {
		return nil, invalid("invalid first %d: must not be above last, %d", r.GetFirst(), r.GetLast())
	}
	response, err := s.config.Consensus.Checksums(ctx, r.GetFirst(), r.GetLast())
	if err != nil {
		return nil, status.Error(codes.DataLoss, err.Error())
	}
	response.Digests = s.digests()
	return response, nil
}

// Recover implements masterv1.MemberServer.
func (s *Server) Recover(ctx context.Context, r *masterv1.RecoverRequest) (*masterv1.RecoverResponse, error) {
	if r.GetConfirm() {
		s.config.Logger.Warn("a recovery from this master is requested", "peer", caller(ctx).String())
	}
	response, err := s.config.Consensus.Recover(ctx, r.GetConfirm())
	if err != nil {
		return nil, memberFailure(err)
	}
	return response, nil
}

// digests returns those of the state at recent indexes, newest first.
func (s *Server) digests() []*masterv1.Digest {
	var all []*masterv1.Digest
	for _, digest := range s.config.State.Digests(0) {
		all = append(all, &masterv1.Digest{Index: digest.Index, Digest: digest.String()})
	}
	return all
}
