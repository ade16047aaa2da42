package snapshot

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// ForCluster returns the state of the file for a cluster with another id.
//
// Kept are the mounts with their ids and options, the number from which ids of mounts are
// made, the stripe size and the format version, and the time of the state, which never
// decreases. What the new cluster does not have is dropped: the workers and all rings,
// whose disks and addresses are those of the former cluster, and the sessions of its
// clients with their results. A client that repeats a request of such a session is
// refused, as for a session that has ended.
//
// Members and terms are not part of the state. The caller begins an epoch, which replaces
// the index of the view and the epochs of the ring and of mounts. Both clusters may
// continue, with indexes that overlap: views are told apart by their cluster id, which
// workers and clients compare before the index. The receiver is not changed.
func (c *Content) ForCluster(id string) (*state.Machine, error) {
	switch c.ClusterID {
	case "":
		return nil, errors.New("the snapshot is of masters that had not formed a cluster")
	case id:
		return nil, fmt.Errorf("the snapshot is of cluster %q, and so is this master: a restoration into a new cluster would drop workers and sessions", id)
	}
	to, err := c.State.Rewrite(func(row proto.Message) (keep bool) {
		switch row := row.(type) {
		case *statev1.Cluster:
			row.Id = id
			return true
		case *statev1.Meta, *commonv1.Mount:
			return true
		}
		return false // a table that is not listed belongs to the former cluster
	})
	if err != nil {
		return nil, fmt.Errorf("change the cluster of a snapshot: %w", err)
	}
	return to, nil
}
