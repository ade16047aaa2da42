package consensus

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// silentPeers are masters of which one does not respond and one leads.
type silentPeers struct {
	Peers
	silent, leader string
}

func (p silentPeers) Join(ctx context.Context, to topology.Member, _ *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	switch to.Name {
	case p.silent:
		<-ctx.Done()
		return nil, ctx.Err()
	case p.leader:
		return &masterv1.JoinResponse{}, ctx.Err()
	}
	return nil, errors.New("not the leader")
}

// TestASilentMasterDelaysNoReplacement: the leader is requested although a master
// before it does not respond.
func TestASilentMasterDelaysNoReplacement(t *testing.T) {
	t.Parallel()
	f := consensustest.New(t, 5)
	for _, peers := range []silentPeers{{silent: "m-1", leader: "m-4"}, {silent: "m-4", leader: "m-1"}} {
		n := &Node{config: Config{Name: "m-0", ClusterID: consensustest.ClusterID, Topology: f.Topology, Peers: peers}, stopped: make(chan struct{})}
		var err error
		if n.masters, err = openMasters(filepath.Join(t.TempDir(), "masters.json"), f.Topology); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), replaceTimeout)
		defer cancel()
		if err := n.replaceable(ctx, "m-0-1"); err != nil {
			t.Errorf("%+v: %v", peers, err)
		}
	}
}
