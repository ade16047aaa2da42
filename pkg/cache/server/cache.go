package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// cache implements the Cache service: the state of the worker and the cluster.
type cache struct {
	workerv1.UnimplementedCacheServer
	worker *Worker
}

var _ workerv1.CacheServer = (*cache)(nil)

// GetView returns the newest view of this worker.
func (c *cache) GetView(context.Context, *workerv1.GetViewRequest) (*workerv1.GetViewResponse, error) {
	v := c.worker.views.load()
	if v == nil {
		return nil, status.Error(codes.Unavailable, "no view yet: this worker has not reached a master")
	}
	return &workerv1.GetViewResponse{View: v.ClusterView}, nil
}

// GetEpochs returns the epochs only.
func (c *cache) GetEpochs(context.Context, *workerv1.GetEpochsRequest) (*workerv1.GetEpochsResponse, error) {
	v := c.worker.views.load()
	if v == nil {
		return nil, status.Error(codes.Unavailable, "no view yet: this worker has not reached a master")
	}
	response := &workerv1.GetEpochsResponse{ViewIndex: v.GetIndex(), Ring: v.GetRing().GetEpoch(), Mounts: map[string]uint64{}}
	for id, mount := range v.mounts {
		response.Mounts[id] = mount.GetEpoch()
	}
	return response, nil
}

// GetTotals returns the totals of a mount, which are known where its root is
// listed.
func (c *cache) GetTotals(_ context.Context, request *workerv1.GetTotalsRequest) (*workerv1.GetTotalsResponse, error) {
	id := request.GetMountId()
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

// Status returns the report that masters receive with each heartbeat.
func (c *cache) Status(context.Context, *workerv1.StatusRequest) (*workerv1.StatusResponse, error) {
	return &workerv1.StatusResponse{Report: c.worker.report()}, nil
}
