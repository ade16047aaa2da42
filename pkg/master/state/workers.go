package state

import (
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

const (
	// MaxWorkers is the maximum number of workers in a ring.
	MaxWorkers = 4096
	// ringsKept is the number of rings kept besides the newest. Workers of
	// those may still have cached data.
	ringsKept = 3
)

func (t *tx) cluster() *statev1.Cluster {
	return find[*statev1.Cluster](t, tableCluster, indexID, []byte{1})
}

func (t *tx) formCluster(op *statev1.FormCluster) *statev1.Result {
	if cluster := t.cluster(); cluster != nil {
		if cluster.GetId() != op.GetClusterId() {
			return refuse(statev1.Refusal_CODE_OTHER_CLUSTER, op.GetClusterId(), cluster.GetId())
		}
		return &statev1.Result{}
	}
	put(t, tableCluster, nil, &statev1.Cluster{
		Id: op.GetClusterId(), FormatVersion: op.GetFormatVersion(), StripeSize: op.GetStripeSize(),
	})
	return &statev1.Result{Changed: true}
}

func (t *tx) registerWorker(op *statev1.RegisterWorker) *statev1.Result {
	member := op.GetMember()
	if id := t.cluster().GetId(); op.GetClusterId() != "" && op.GetClusterId() != id {
		return refuse(statev1.Refusal_CODE_OTHER_CLUSTER, op.GetClusterId(), id)
	}
	other := find[*statev1.Worker](t, tableWorkers, indexMember, text(member.GetId()))
	if name := other.GetMember().GetName(); other != nil && name != member.GetName() {
		return refuse(statev1.Refusal_CODE_ID_TAKEN, member.GetId(), name)
	}
	old := find[*statev1.Worker](t, tableWorkers, indexID, text(member.GetName()))
	used := int64(0)
	if t.format >= FormatUses {
		used = max(t.meta.GetClock(), old.GetUsed()+1)
	}
	if proto.Equal(old.GetMember(), member) {
		if used != 0 {
			renewed := clone(old)
			renewed.Used = used
			put(t, tableWorkers, old, renewed)
		}
		return &statev1.Result{RingEpoch: t.meta.GetRingEpoch()}
	}
	if old == nil && t.rows[tableWorkers] >= MaxWorkers {
		return refuse(statev1.Refusal_CODE_LIMIT, "workers", "")
	}
	put(t, tableWorkers, old, &statev1.Worker{Member: member, Since: t.meta.GetRingEpoch() + 1, Used: used})
	return t.newRing()
}

func (t *tx) removeWorker(op *statev1.RemoveWorker) *statev1.Result {
	worker := find[*statev1.Worker](t, tableWorkers, indexID, text(op.GetName()))
	if worker == nil {
		return refuse(statev1.Refusal_CODE_NOT_FOUND, op.GetName(), "")
	}
	if id := worker.GetMember().GetId(); op.GetId() != "" && op.GetId() != id {
		return refuse(statev1.Refusal_CODE_REPLACED, op.GetName(), id)
	}
	if op.GetUsed() != 0 && op.GetUsed() != worker.GetUsed() {
		return refuse(statev1.Refusal_CODE_RENEWED, op.GetName(), "")
	}
	t.drop(tableWorkers, worker)
	return t.newRing()
}

// newRing creates the next ring epoch, of the current workers sorted by name.
func (t *tx) newRing() *statev1.Result {
	t.meta.RingEpoch++
	ring := &commonv1.Ring{Epoch: t.meta.GetRingEpoch(), StripeSize: t.cluster().GetStripeSize()}
	for _, worker := range list[*statev1.Worker](t, tableWorkers, indexID) {
		ring.Members = append(ring.Members, worker.GetMember())
	}
	put(t, tableRings, nil, ring)
	if ring.GetEpoch() > ringsKept+1 {
		if old := find[*commonv1.Ring](t, tableRings, indexID, number(ring.GetEpoch()-ringsKept-1)); old != nil {
			t.drop(tableRings, old)
		}
	}
	return &statev1.Result{Changed: true, RingEpoch: ring.GetEpoch()}
}
