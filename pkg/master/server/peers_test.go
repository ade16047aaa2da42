package server

import (
	"errors"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestPeersCallEachOther(t *testing.T) {
	s := newTestbed(t, 2)
	peers := NewPeers(s.Identity(1))
	defer peers.Close()
	for range 2 { // over one connection
		got, err := peers.Describe(t.Context(), s.Topology.Masters[0], &masterv1.DescribeRequest{})
		if err != nil || got.GetName() != s.Name(0) {
			t.Fatalf("describe: %v, %v", got, err)
		}
	}
	if len(peers.conns) != 1 {
		t.Errorf("%d connections are open", len(peers.conns))
	}
	if got, err := peers.Join(t.Context(), s.Topology.Masters[0], &masterv1.JoinRequest{Name: s.Name(1)}); err != nil || !got.GetVoter() {
		t.Errorf("join: %v, %v", got, err)
	}
	s.log.Lead(1)
	var follower *consensus.NotLeaderError
	if _, err := peers.Join(t.Context(), s.Topology.Masters[0], &masterv1.JoinRequest{Name: s.Name(1)}); !errors.As(err, &follower) || follower.Leader != s.Name(1) {
		t.Errorf("join at a follower: %v", err)
	}
	peers.Close()
	if _, err := peers.Describe(t.Context(), s.Topology.Masters[0], &masterv1.DescribeRequest{}); err == nil {
		t.Error("a call succeeded after Close")
	}
}
