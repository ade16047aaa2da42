package consensus

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestAppendedIsNotCommitted checks that a proposer is notified when its command is
// in the log of the leader, though nothing is committed, and once only.
func TestAppendedIsNotCommitted(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c, old := startWithLongLease(t, w)
	c.propose("before")
	c.succeed(w)
	if old.node.readyTerm() == 0 {
		t.Fatal("the old leader stepped down: the test proves nothing")
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	appended := make(chan struct{}, 2)
	ended := make(chan error, 1)
	go func() {
		_, _, err := old.node.ProposeNotify(ctx, []byte("lost"), func() { appended <- struct{}{} })
		ended <- err
	}()
	select {
	case <-appended:
	case err := <-ended:
		t.Fatalf("the call ended before the command was in the log: %v", err)
	case <-time.After(waitTimeout):
		t.Fatal("the command is not in the log")
	}
	cancel()
	if err := <-ended; !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("a command in one log of three returned %v", err)
	}
	if len(appended) != 0 {
		t.Error("the proposer was notified twice")
	}
	if len(old.node.appends.waiting) != 0 {
		t.Error("the command is watched after the call has ended")
	}
}

// TestRefusedIsNotified checks that a proposer whose command is refused does not
// wait for a log that the command never enters.
func TestRefusedIsNotified(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	follower := c.members[(c.whole()+1)%3]
	for _, command := range [][]byte{nil, []byte("x"), make([]byte, MaxCommand+1)} {
		calls := 0
		if _, _, err := follower.node.ProposeNotify(t.Context(), command, func() { calls++ }); err == nil || calls != 1 {
			t.Errorf("a command of %d bytes was notified %d times and returned %v", len(command), calls, err)
		}
	}
}
