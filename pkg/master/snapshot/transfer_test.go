package snapshot

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// TestForCluster: only mounts, the cluster and the metadata remain, and a table that is
// added to the state is dropped until it is listed.
func TestForCluster(t *testing.T) {
	machine, header := everything(t)
	content := &Content{Header: header, State: machine}
	before := machine.View()
	to, err := content.ForCluster("new")
	if err != nil {
		t.Fatal(err)
	}
	view := to.View()
	if view.ClusterID() != "new" || view.Index() != before.Index() || view.Clock() != before.Clock() || view.RingEpoch() != before.RingEpoch() {
		t.Errorf("the state is of %q, index %d, clock %d", view.ClusterID(), view.Index(), view.Clock())
	}
	if !proto.Equal(view.Cluster().GetMounts()[0], before.Cluster().GetMounts()[0]) || view.Mounts() != 1 {
		t.Errorf("the mounts are %v", view.Cluster().GetMounts())
	}
	if _, err := to.Rewrite(func(row proto.Message) bool {
		switch row.(type) {
		case *statev1.Cluster, *statev1.Meta, *commonv1.Mount:
		default:
			t.Errorf("%T %v remains", row, row)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	// Its epoch begins after every number of the former cluster.
	if err := to.BeginEpoch(1 << 40); err != nil || to.View().RingEpoch() != 1<<40 || len(to.View().Cluster().GetRing().GetMembers()) != 0 {
		t.Errorf("the ring is %v, %v", to.View().Cluster().GetRing(), err)
	}
	if machine.View().ClusterID() != header.ClusterID {
		t.Error("the original state changed")
	}
	if _, err := content.ForCluster(header.ClusterID); err == nil {
		t.Error("a state is restored as a new one into its own cluster")
	}
	if _, err := (&Content{State: machine}).ForCluster("new"); err == nil {
		t.Error("a state without a cluster is restored into one")
	}
}
