package state

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// BeginEpoch makes the state the one after an entry that begins an epoch of the cluster.
// It is not a command: one member calls it before the epoch has any other.
//
// Commands that led to states which clients have seen may be lost. index must be above
// that of every one of them. The index of the view, the epoch of the ring and the epochs
// of all mounts then become index, or grow by one if that is more: workers and mounts
// replace what they have by this state, and fetch names that they have cached again,
// because an invalidation may be among what is lost. Ids of mounts are random, so that
// none of a lost mount is used again.
func (m *Machine) BeginEpoch(index uint64) error {
	t, err := begin(m.db.Load(), index)
	if err != nil {
		return fmt.Errorf("begin an epoch: %w", err)
	}
	defer t.txn.Abort()
	for _, old := range list[*commonv1.Mount](t, tableMounts, indexID) {
		mount := clone(old)
		mount.Epoch = max(old.GetEpoch()+1, index)
		put(t, tableMounts, old, mount)
	}
	if t.meta.GetRingEpoch() > 0 {
		for _, ring := range list[*commonv1.Ring](t, tableRings, indexID) {
			t.drop(tableRings, ring)
		}
		t.meta.RingEpoch = max(t.meta.GetRingEpoch(), index-1)
		t.newRing()
	}
	t.meta.ViewIndex = index
	digest, err := t.commit()
	if err != nil {
		return fmt.Errorf("begin an epoch: %w", err)
	}
	m.digests.reset(digest)
	return nil
}
