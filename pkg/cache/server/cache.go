package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// cache implements the Cache service: the state of the worker and the cluster.
type cache struct {
	workerv1.UnimplementedCacheServer
	worker *Worker
}

var _ workerv1.CacheServer = (*cache)(nil)

// GetView returns what the peer may see of the newest view of this worker.
func (c *cache) GetView(ctx context.Context, _ *workerv1.GetViewRequest) (*workerv1.GetViewResponse, error) {
	v := c.worker.views.load()
	if v == nil {
		return nil, status.Error(codes.Unavailable, "no view yet: this worker has not reached a master")
	}
	scope, err := mtls.ScopeOfContext(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return &workerv1.GetViewResponse{View: scope.View(v.ClusterView)}, nil
}

// GetEpochs returns the epochs only, of the mounts that the peer may read.
func (c *cache) GetEpochs(ctx context.Context, request *workerv1.GetEpochsRequest) (*workerv1.GetEpochsResponse, error) {
	v := c.worker.views.load()
	if v == nil {
		return nil, status.Error(codes.Unavailable, "no view yet: this worker has not reached a master")
	}
	scope, err := mtls.ScopeOfContext(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if peer, err := mtls.PeerOfContext(ctx); err == nil && peer.Is(mtls.Fuse) {
		c.worker.mountStates.report(peer, request.GetMount())
	}
	response := &workerv1.GetEpochsResponse{ViewIndex: v.GetIndex(), Ring: v.GetRing().GetEpoch(), Mounts: map[string]uint64{}}
	for id, mount := range v.mounts {
		if scope.MayRead(mount.GetPath()) {
			response.Mounts[id] = mount.GetEpoch()
		}
	}
	return response, nil
}

// GetTotals returns the totals of a mount, which are known where its root is
// listed.
func (c *cache) GetTotals(ctx context.Context, request *workerv1.GetTotalsRequest) (*workerv1.GetTotalsResponse, error) {
	id := request.GetMountId()
	if err := c.worker.mayRead(ctx, id); err != nil {
		return nil, err
	}
	v := c.worker.views.load()
	if v == nil || v.mounts[id] == nil {
		return nil, status.Errorf(codes.NotFound, "view %d has no mount with id %q", v.index(), id)
	}
	t := c.worker.config.Directory.Counted(id)
	epochs := v.epochs(id)
	return &workerv1.GetTotalsResponse{
		Totals: &commonv1.Totals{Objects: t.Objects, Bytes: t.Bytes, AtLeast: t.AtLeast, Hidden: t.Hidden},
		Epochs: &workerv1.Epochs{Ring: epochs.Ring, Mount: epochs.Mount},
	}, nil
}

// Drain makes the worker leave.
func (c *cache) Drain(_ context.Context, request *workerv1.DrainRequest) (*workerv1.DrainResponse, error) {
	timeout := request.GetTimeout()
	if err := timeout.CheckValid(); err != nil || timeout.AsDuration() < 0 || timeout.AsDuration() > maxDrain {
		return nil, status.Errorf(codes.InvalidArgument, "timeout: must be 0 to %s", maxDrain)
	}
	c.worker.drain.begin(timeout.AsDuration())
	return &workerv1.DrainResponse{}, nil
}

// Status returns the report that masters receive with each heartbeat, and what FUSE
// servers have reported.
func (c *cache) Status(context.Context, *workerv1.StatusRequest) (*workerv1.StatusResponse, error) {
	return &workerv1.StatusResponse{Report: c.worker.report(), Mounts: c.worker.mountStates.list()}, nil
}
