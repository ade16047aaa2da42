package server

import (
	"context"

	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// cache is the Cache service: what the worker says of itself and the cluster.
type cache struct {
	workerv1.UnimplementedCacheServer
	worker *Worker
}

var _ workerv1.CacheServer = (*cache)(nil)

// GetView answers the newest view this worker knows.
func (c *cache) GetView(context.Context, *workerv1.GetViewRequest) (*workerv1.GetViewResponse, error) {
	v := c.worker.views.load()
	if v == nil {
		return nil, status.Error(codes.Unavailable, "this worker has not met a master yet and knows no view")
	}
	return &workerv1.GetViewResponse{View: v.ClusterView}, nil
}

// GetEpochs answers the epochs alone.
func (c *cache) GetEpochs(context.Context, *workerv1.GetEpochsRequest) (*workerv1.GetEpochsResponse, error) {
	v := c.worker.views.load()
	if v == nil {
		return nil, status.Error(codes.Unavailable, "this worker has not met a master yet and knows no view")
	}
	response := &workerv1.GetEpochsResponse{ViewIndex: v.GetIndex(), Ring: v.GetRing().GetEpoch(), Mounts: map[string]uint64{}}
	for id, mount := range v.mounts {
		response.Mounts[id] = mount.GetEpoch()
	}
	return response, nil
}

// Status answers what masters are told with each heartbeat.
func (c *cache) Status(context.Context, *workerv1.StatusRequest) (*workerv1.StatusResponse, error) {
	return &workerv1.StatusResponse{Report: c.worker.report()}, nil
}
