package consensus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestOneMemberFormsProposesAndRestarts(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	m := c.start(0)
	c.whole()
	result, index, err := m.node.Propose(c.context(), []byte("a"))
	if err != nil || result != 1 || index == 0 {
		t.Fatalf("got %v at %d, %v", result, index, err)
	}
	if read, err := m.node.ReadIndex(c.context()); err != nil || read < index {
		t.Fatalf("read at %d after %d, %v", read, index, err)
	}
	id := c.id(0)
	c.stop(0)
	c.start(0)
	c.whole()
	c.propose("b")
	if got := strings.Join(c.members[0].state.all(), ""); got != "ab" {
		t.Fatalf("after a restart the journal is %q", got)
	}
	if c.id(0) != id {
		t.Fatal("a restart changed the id")
	}
}

func TestFormationInAnyOrderFormsOneClusterOnce(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3)
			for _, i := range order {
				c.start(i)
				time.Sleep(50 * time.Millisecond)
			}
			c.whole()
			c.propose("x")
			c.agree("x")
			bootstrapped := 0
			for _, m := range c.members {
				if m.node.servers()[0].ID == m.node.id {
					bootstrapped++
				}
			}
			if bootstrapped != 1 {
				t.Fatalf("%d members are first in the configuration", bootstrapped)
			}
		})
	}
}

// TestAClusterThatIsFormingAcknowledgesNothing: the disk of the first member
// alone is not a majority of the topology.
func TestAClusterThatIsFormingAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for i := 1; i < 3; i++ {
		c.Up(i, stranger{&masterv1.DescribeResponse{Name: c.Name(i), ClusterId: consensustest.ClusterID}})
	}
	m := c.start(0)
	c.eventually("wait for the first to lead", func() error {
		if m.node.Status().GetState() != "LEADER" {
			return errors.New("it does not lead")
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	var follower *NotLeaderError
	if _, _, err := m.node.Propose(ctx, []byte("x")); !errors.As(err, &follower) {
		t.Fatalf("got %v", err)
	}
	if m.node.Status().GetReady() {
		t.Error("the member is ready")
	}
	c.start(1)
	c.propose("x")
	c.start(2)
	c.whole()
	c.agree("x")
	if got := len(m.state.all()); got != 1 {
		t.Fatalf("%d commands", got)
	}
}
