package consensus

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestRemoveMember: only what is not needed, and does not come back, is removed.
func TestRemoveMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	a, b := (leader+1)%3, (leader+2)%3
	node := c.members[leader].node
	refuse := func(member, want string) {
		t.Helper()
		if _, err := node.RemoveMember(c.context(), member); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("remove %s: got %v, want an error with %q", member, err, want)
		}
	}
	refuse("m-9", "not a member")
	refuse(c.Name(leader), "transfer leadership")
	refuse(c.Name(a), "would join again")
	var follower *NotLeaderError
	if _, err := c.members[a].node.RemoveMember(c.context(), c.Name(b)); !errors.As(err, &follower) {
		t.Errorf("a follower returned %v", err)
	}
	lost := c.id(a)
	c.kill(a)
	c.eventually("wait until the contact is stale", func() error {
		id, err := node.RemoveMember(c.context(), string(lost))
		if err == nil && id != string(lost) {
			t.Fatalf("%s was removed", id)
		}
		return err
	})
	if got := countVoters(node.servers()); got != 2 {
		t.Errorf("%d voters remain", got)
	}
	c.propose("after")
	// It learns that it was removed, and joins as a new member.
	m := c.start(a)
	select {
	case err := <-m.fatal:
		if !strings.Contains(err.Error(), "joins as a new member") {
			t.Fatalf("it stopped with %v", err)
		}
	case <-time.After(waitTimeout):
		t.Fatal("the removed member did not stop")
	}
	c.kill(a)
	c.start(a)
	c.whole()
	c.agree("after")
}
