//go:build linux

package node

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
)

// NodeGetVolumeStats returns the usage of a volume's file system. It returns
// Unavailable, without a request to the file system, for a mount without a server.
func (n *Node) NodeGetVolumeStats(ctx context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	id, path := req.GetVolumeId(), req.GetVolumePath()
	if id == "" || path == "" {
		return nil, invalid("the request has no volume id or no volume path")
	}
	v, ok := n.store.Get(path)
	if !ok || v.ID != id {
		return nil, status.Errorf(codes.NotFound, "volume %s is not published at %q", id, path)
	}
	if v.Role == "" {
		manager := n.managerOfVolume(v)
		if err := manager.Serving(); err != nil {
			return nil, status.Errorf(codes.Unavailable, "volume %s of runtime %s: %v", id, v.Runtime, err)
		}
		if !n.shows(path, manager) {
			return nil, status.Errorf(codes.Unavailable, "volume %s of runtime %s: %s is not a mount of the runtime", id, v.Runtime, path)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fileSystemTimeout)
	defer cancel()
	usage, err := mounts.Stat(ctx, path)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "volume %s: %v", id, err)
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: usage.Bytes, Available: usage.BytesFree, Used: max(0, usage.Bytes-usage.BytesFree)},
		{Unit: csi.VolumeUsage_INODES, Total: usage.Files, Available: usage.FilesFree, Used: max(0, usage.Files-usage.FilesFree)},
	}}, nil
}
