package server

import (
	"context"
	"slices"

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
	response, err := s.config.Consensus.Recover(ctx, r.GetConfirm(), s.reports.newestView())
	if err != nil {
		return nil, memberFailure(err)
	}
	return response, nil
}

// maxNames bounds the names of masters in a request, and maxNameBytes each of them.
const (
	maxNames     = 16
	maxNameBytes = 253
)

// RecordVerification implements masterv1.MemberServer.
func (s *Server) RecordVerification(_ context.Context, r *masterv1.RecordVerificationRequest) (*masterv1.RecordVerificationResponse, error) {
	v := r.GetVerification()
	if _, known := masterv1.Verification_Result_name[int32(v.GetResult())]; !known || v.GetResult() == masterv1.Verification_RESULT_UNSPECIFIED {
		return nil, invalid("invalid result %d", v.GetResult())
	}
	if len(v.GetFailed()) > maxNames || slices.ContainsFunc(v.GetFailed(), func(name string) bool { return len(name) > maxNameBytes }) {
		return nil, invalid("failed has more than %d names, or one of more than %d bytes", maxNames, maxNameBytes)
	}
	if err := s.config.Consensus.RecordVerification(v); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &masterv1.RecordVerificationResponse{}, nil
}

// digests returns those of the state at recent indexes, newest first.
func (s *Server) digests() []*masterv1.Digest {
	var all []*masterv1.Digest
	for _, digest := range s.config.State.Digests(0) {
		all = append(all, &masterv1.Digest{Index: digest.Index, Digest: digest.String()})
	}
	return all
}
