package state

import (
	"fmt"
	"slices"

	"github.com/hashicorp/go-memdb"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// View is the state after one entry. The values that its methods return are
// shared with the state and must not be modified. A View must be used by one
// goroutine at a time.
type View struct {
	txn  *memdb.Txn
	head *head
	err  error
}

// View returns the current state.
func (m *Machine) View() *View {
	txn := m.db.Load().Txn(false)
	h, err := headOf(txn)
	if err != nil {
		h = &head{meta: &statev1.Meta{}}
	}
	return &View{txn: txn, head: h, err: err}
}

// Err returns the first error of the tables, which only a bug in this package
// can cause.
func (v *View) Err() error {
	if v.err != nil {
		return fmt.Errorf("read tables: %w", v.err)
	}
	return nil
}

func rows[T any](v *View, table, index string) []T {
	out, err := all[T](v.txn, table, index)
	if v.err == nil {
		v.err = err
	}
	return out
}

// Index returns the index of the last entry applied.
func (v *View) Index() uint64 { return v.head.meta.GetIndex() }

// ViewIndex returns the index of the last entry that changed the result of
// [View.Cluster].
func (v *View) ViewIndex() uint64 { return v.head.meta.GetViewIndex() }

// Clock returns the latest time of any command, in nanoseconds since 1970.
func (v *View) Clock() int64 { return v.head.meta.GetClock() }

// RingEpoch returns the epoch of the newest ring; 0 before the first worker.
func (v *View) RingEpoch() uint64 { return v.head.meta.GetRingEpoch() }

// Digest returns the digest after the last entry applied.
func (v *View) Digest() Digest { return Digest{Index: v.Index(), Sum: v.head.digest()} }

// Mounts returns the number of mounts.
func (v *View) Mounts() int { return v.head.rows[tableMounts] }

// ClusterID returns the id of the cluster; empty until it is formed.
func (v *View) ClusterID() string {
	for _, cluster := range rows[*statev1.Cluster](v, tableCluster, indexID) {
		return cluster.GetId()
	}
	return ""
}

// Cluster returns what readers need: the mounts sorted by path, the newest ring
// and the rings before it, newest first. Two views of the same index have equal
// contents.
func (v *View) Cluster() *commonv1.ClusterView {
	view := &commonv1.ClusterView{
		Index:  v.ViewIndex(),
		Mounts: rows[*commonv1.Mount](v, tableMounts, indexPath),
		Ring:   &commonv1.Ring{},
	}
	for _, cluster := range rows[*statev1.Cluster](v, tableCluster, indexID) {
		view.ClusterId, view.FormatVersion = cluster.GetId(), cluster.GetFormatVersion()
		view.Ring.StripeSize = cluster.GetStripeSize()
	}
	if rings := rows[*commonv1.Ring](v, tableRings, indexID); len(rings) > 0 {
		slices.Reverse(rings)
		view.Ring, view.PreviousRings = rings[0], rings[1:]
	}
	return view
}

// Workers returns the workers in the ring, sorted by name.
func (v *View) Workers() []*statev1.Worker { return rows[*statev1.Worker](v, tableWorkers, indexID) }

// Worker returns the worker with a name; nil when it is not in the ring.
func (v *View) Worker(name string) *statev1.Worker {
	worker, err := first[*statev1.Worker](v.txn, tableWorkers, indexID, text(name))
	if v.err == nil {
		v.err = err
	}
	return worker
}

// Session returns the open session with an id; nil when there is none.
func (v *View) Session(id string) *statev1.Session {
	s, err := first[*statev1.Session](v.txn, tableSessions, indexID, text(id))
	if v.err == nil {
		v.err = err
	}
	if s.GetEnded() != 0 {
		return nil
	}
	return s
}

// Sessions returns the open sessions, sorted by id.
func (v *View) Sessions() []*statev1.Session {
	return slices.DeleteFunc(rows[*statev1.Session](v, tableSessions, indexID), func(s *statev1.Session) bool {
		return s.GetEnded() != 0
	})
}
