package state

import (
	"fmt"
	"slices"

	"github.com/hashicorp/go-memdb"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// View is the state after one entry. What its methods return is shared with
// the state and must not be changed. It is for one goroutine.
type View struct {
	txn  *memdb.Txn
	head *head
	err  error
}

// View of the state as it is now.
func (m *Machine) View() *View {
	txn := m.db.Load().Txn(false)
	h, err := headOf(txn)
	if err != nil {
		h = &head{meta: &statev1.Meta{}}
	}
	return &View{txn: txn, head: h, err: err}
}

// Err is what went wrong with the tables so far: only a mistake in this
// package can.
func (v *View) Err() error {
	if v.err != nil {
		return fmt.Errorf("reading the tables: %w", v.err)
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

// Index of the last entry applied.
func (v *View) Index() uint64 { return v.head.meta.GetIndex() }

// ViewIndex of the last entry that changed what [View.Cluster] says.
func (v *View) ViewIndex() uint64 { return v.head.meta.GetViewIndex() }

// Clock is the latest time that a command brought, in nanoseconds since 1970.
func (v *View) Clock() int64 { return v.head.meta.GetClock() }

// RingEpoch of the newest ring; 0 before the first worker.
func (v *View) RingEpoch() uint64 { return v.head.meta.GetRingEpoch() }

// Digest after the last entry applied.
func (v *View) Digest() Digest { return Digest{Index: v.Index(), Sum: v.head.digest()} }

// Mounts is how many there are.
func (v *View) Mounts() int { return v.head.rows[tableMounts] }

// ClusterID is empty until the cluster is formed.
func (v *View) ClusterID() string {
	for _, cluster := range rows[*statev1.Cluster](v, tableCluster, indexID) {
		return cluster.GetId()
	}
	return ""
}

// Cluster is what readers need: mounts in the order of their paths, the newest
// ring and those before it, newest first. Two views of the same index say the
// same.
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

// Workers of the ring in the order of their names.
func (v *View) Workers() []*statev1.Worker { return rows[*statev1.Worker](v, tableWorkers, indexID) }

// Worker by name; nil when it is not in the ring.
func (v *View) Worker(name string) *statev1.Worker {
	worker, err := first[*statev1.Worker](v.txn, tableWorkers, indexID, text(name))
	if v.err == nil {
		v.err = err
	}
	return worker
}

// Session that is open, by id; nil when there is none.
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

// Sessions that are open, in the order of their ids.
func (v *View) Sessions() []*statev1.Session {
	return slices.DeleteFunc(rows[*statev1.Session](v, tableSessions, indexID), func(s *statev1.Session) bool {
		return s.GetEnded() != 0
	})
}
