package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// callTimeout bounds a request without an earlier deadline.
const callTimeout = 15 * time.Second

// execute proposes a command of the caller and returns a refusal as an error.
func (s *Server) execute(ctx context.Context, command *statev1.Command) (*statev1.Result, error) {
	leave, err := s.quotas.enter(caller(ctx))
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := s.proposer.propose(ctx, command)
	if err != nil {
		return nil, failure(err)
	}
	return result, refusal(result)
}

// command returns a command of a client, with its request id and the peer that
// sent it.
func command(ctx context.Context, id *masterv1.RequestId) *statev1.Command {
	return &statev1.Command{Request: &statev1.Request{
		Session: id.GetSession(), Sequence: id.GetSequence(), Acknowledged: id.GetAcknowledged(),
		Owner: caller(ctx).String(),
	}}
}

// read returns the state once it is as new as everything acknowledged before
// the call.
func (s *Server) read(ctx context.Context) (*state.View, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	_, err := s.config.Consensus.ReadIndex(ctx)
	s.metrics.reads.Observe(time.Since(start).Seconds())
	if err != nil {
		return nil, failure(err)
	}
	return s.config.State.View(), nil
}

// clusterView returns the cluster view of the state, or an error of its tables.
func clusterView(view *state.View) (*commonv1.ClusterView, error) {
	cluster := view.Cluster()
	if err := view.Err(); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return cluster, nil
}

// OpenSession implements masterv1.CoordinationServer.
func (s *Server) OpenSession(ctx context.Context, r *masterv1.OpenSessionRequest) (*masterv1.OpenSessionResponse, error) {
	ttl, err := checkOpenSession(r)
	if err != nil {
		return nil, err
	}
	owner := caller(ctx)
	maxOpen, maxKept := sessionQuota(owner.Role)
	_, err = s.execute(ctx, &statev1.Command{Operation: &statev1.Command_OpenSession{OpenSession: &statev1.OpenSession{
		Session: r.GetSession(), Owner: owner.String(), Holder: r.GetHolder(), Ttl: int64(ttl), Replaces: r.GetReplaces(),
		MaxOpen: maxOpen, MaxKept: maxKept,
	}}})
	if err != nil {
		return nil, err
	}
	return &masterv1.OpenSessionResponse{Ttl: durationpb.New(ttl)}, nil
}

// KeepAlive implements masterv1.CoordinationServer. The leader keeps leases in
// memory. KeepAlive returns only once its leadership is confirmed, so that any
// successor, which grants every session a full lease, was elected after the
// call.
func (s *Server) KeepAlive(ctx context.Context, r *masterv1.KeepAliveRequest) (*masterv1.KeepAliveResponse, error) {
	if err := checkSession("session", r.GetSession()); err != nil {
		return nil, err
	}
	view, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	session := view.Session(r.GetSession())
	if session == nil || session.GetOwner() != caller(ctx).String() {
		return nil, refusal(&statev1.Result{Refusal: &statev1.Refusal{
			Code: statev1.Refusal_CODE_UNKNOWN_SESSION, Subject: r.GetSession(),
		}})
	}
	if err := s.extend(ctx, session); err != nil {
		return nil, err
	}
	return &masterv1.KeepAliveResponse{Ttl: durationpb.New(time.Duration(session.GetTtl()))}, nil
}

// extend grants a session, as it was read before, its full time to live.
func (s *Server) extend(ctx context.Context, session *statev1.Session) error {
	if !s.leases.renew(session.GetId(), s.awake.now()+time.Duration(session.GetTtl())) {
		return s.renewSession(ctx, session)
	}
	// It may have been ended since it was read. From now on no expiry is proposed
	// that is based on an earlier lease.
	if s.config.State.View().Session(session.GetId()) == nil {
		return refusal(&statev1.Result{Refusal: &statev1.Refusal{
			Code: statev1.Refusal_CODE_UNKNOWN_SESSION, Subject: session.GetId(),
		}})
	}
	return nil
}

// renewSession renews a session whose expiry was proposed. The command is
// executed before the expiry, which then changes nothing, or after it, and is
// refused. The new use extends the lease; see leases.reconcile.
func (s *Server) renewSession(ctx context.Context, session *statev1.Session) error {
	if s.proposer.format() < state.FormatUses {
		return failure(fmt.Errorf("session %s is being ended, and cannot be renewed while a master has an older version: %w", session.GetId(), errNotSent))
	}
	_, err := s.execute(ctx, &statev1.Command{Operation: &statev1.Command_RenewSession{
		RenewSession: &statev1.RenewSession{Session: session.GetId(), Owner: session.GetOwner()},
	}})
	return err
}

// RegisterWorker implements masterv1.CoordinationServer.
func (s *Server) RegisterWorker(ctx context.Context, r *masterv1.RegisterWorkerRequest) (*masterv1.RegisterWorkerResponse, error) {
	if err := checkRequest(r.GetRequest()); err != nil {
		return nil, err
	}
	if err := checkMember(r.GetMember(), caller(ctx)); err != nil {
		return nil, err
	}
	c := command(ctx, r.GetRequest())
	c.Operation = &statev1.Command_RegisterWorker{RegisterWorker: &statev1.RegisterWorker{
		Member: r.GetMember(), ClusterId: r.GetClusterId(),
	}}
	if _, err := s.execute(ctx, c); err != nil {
		return nil, err
	}
	view, err := clusterView(s.config.State.View())
	if err != nil {
		return nil, err
	}
	return &masterv1.RegisterWorkerResponse{View: view}, nil
}

// RemoveWorker implements masterv1.CoordinationServer.
func (s *Server) RemoveWorker(ctx context.Context, r *masterv1.RemoveWorkerRequest) (*masterv1.RemoveWorkerResponse, error) {
	if err := checkRequest(r.GetRequest()); err != nil {
		return nil, err
	}
	if err := checkName("name", r.GetName()); err != nil {
		return nil, err
	}
	c := command(ctx, r.GetRequest())
	c.Operation = &statev1.Command_RemoveWorker{RemoveWorker: &statev1.RemoveWorker{
		Name: r.GetName(), Reason: statev1.RemoveWorker_REASON_ASKED,
	}}
	result, err := s.execute(ctx, c)
	if err != nil {
		return nil, err
	}
	s.config.Logger.Info("a worker left the ring", "worker", r.GetName(), "reason", "requested by "+caller(ctx).String(), "ring", result.GetRingEpoch())
	return &masterv1.RemoveWorkerResponse{RingEpoch: result.GetRingEpoch()}, nil
}

// Mount implements masterv1.CoordinationServer.
func (s *Server) Mount(ctx context.Context, r *masterv1.MountRequest) (*masterv1.MountResponse, error) {
	if err := checkRequest(r.GetRequest()); err != nil {
		return nil, err
	}
	if err := checkMount(r.GetMount()); err != nil {
		return nil, err
	}
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	c := command(ctx, r.GetRequest())
	c.Operation = &statev1.Command_PutMount{PutMount: &statev1.PutMount{Mount: r.GetMount(), Nonce: hex.EncodeToString(nonce[:])}}
	result, err := s.execute(ctx, c)
	if err != nil {
		return nil, err
	}
	return &masterv1.MountResponse{Mount: result.GetMount(), Changed: result.GetChanged()}, nil
}

// Unmount implements masterv1.CoordinationServer.
func (s *Server) Unmount(ctx context.Context, r *masterv1.UnmountRequest) (*masterv1.UnmountResponse, error) {
	if err := checkRequest(r.GetRequest()); err != nil {
		return nil, err
	}
	if err := checkPath("path", r.GetPath()); err != nil {
		return nil, err
	}
	c := command(ctx, r.GetRequest())
	c.Operation = &statev1.Command_RemoveMount{RemoveMount: &statev1.RemoveMount{Path: r.GetPath()}}
	if _, err := s.execute(ctx, c); err != nil {
		return nil, err
	}
	return &masterv1.UnmountResponse{}, nil
}

// Invalidate implements masterv1.CoordinationServer.
func (s *Server) Invalidate(ctx context.Context, r *masterv1.InvalidateRequest) (*masterv1.InvalidateResponse, error) {
	if err := checkRequest(r.GetRequest()); err != nil {
		return nil, err
	}
	if err := checkPath("path", r.GetPath()); err != nil {
		return nil, err
	}
	c := command(ctx, r.GetRequest())
	c.Operation = &statev1.Command_Invalidate{Invalidate: &statev1.Invalidate{Path: r.GetPath()}}
	result, err := s.execute(ctx, c)
	if err != nil {
		return nil, err
	}
	return &masterv1.InvalidateResponse{Epoch: result.GetMount().GetEpoch(), Index: result.GetIndex()}, nil
}

// GetView implements masterv1.CoordinationServer.
func (s *Server) GetView(ctx context.Context, _ *masterv1.GetViewRequest) (*masterv1.GetViewResponse, error) {
	view, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	cluster, err := clusterView(view)
	if err != nil {
		return nil, err
	}
	if cluster.GetClusterId() == "" {
		return nil, refusal(&statev1.Result{Refusal: &statev1.Refusal{Code: statev1.Refusal_CODE_NOT_FORMED}})
	}
	scope, err := mtls.ScopeOfContext(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return &masterv1.GetViewResponse{View: scope.View(cluster)}, nil
}

// ListWorkers implements masterv1.CoordinationServer.
func (s *Server) ListWorkers(ctx context.Context, _ *masterv1.ListWorkersRequest) (*masterv1.ListWorkersResponse, error) {
	view, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	response := &masterv1.ListWorkersResponse{}
	for _, worker := range view.Workers() {
		row := &masterv1.WorkerState{Member: worker.GetMember()}
		if heartbeat, ok := s.reports.of(worker.GetMember()); ok {
			row.Report = heartbeat.report
			row.LastHeartbeat = timestamppb.New(heartbeat.wall)
			row.Live = s.reports.live(heartbeat)
		}
		response.Workers = append(response.Workers, row)
	}
	if err := view.Err(); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return response, nil
}
