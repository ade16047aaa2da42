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
// of all mounts then become index: workers and mounts replace what they have by this
// state, and fetch names that they have cached again, because an invalidation may be
// among what is lost. Ids of mounts are random, so that none of a lost mount is used
// again. It is an error if one of these numbers is not below index already, which no
// command can cause.
func (m *Machine) BeginEpoch(index uint64) error {
	t, err := begin(m.db.Load(), index)
	if err != nil {
		return fmt.Errorf("begin an epoch: %w", err)
	}
	defer t.txn.Abort()
	if t.meta.GetRingEpoch() >= index || t.meta.GetViewIndex() >= index {
		return fmt.Errorf("begin an epoch: the ring has epoch %d and the view index %d, not below %d", t.meta.GetRingEpoch(), t.meta.GetViewIndex(), index)
	}
	for _, old := range list[*commonv1.Mount](t, tableMounts, indexID) {
		if old.GetEpoch() >= index {
			return fmt.Errorf("begin an epoch: mount %s has epoch %d, not below %d", old.GetPath(), old.GetEpoch(), index)
		}
		mount := clone(old)
		mount.Epoch = index
		put(t, tableMounts, old, mount)
	}
	if t.meta.GetRingEpoch() > 0 {
		for _, ring := range list[*commonv1.Ring](t, tableRings, indexID) {
			t.drop(tableRings, ring)
		}
		t.meta.RingEpoch = index - 1
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
