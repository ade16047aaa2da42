package consensus

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// A transfer to a member that responds to heartbeats and accepts no entries, such
// as one whose disk is full, fails. It must not leave the leader in the state in
// which the library accepts no commands, nor a later leadership of this member.
func TestATransferToAMemberThatIsBehindFails(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c := newCluster(t, 3, w.configure)
	c.startAll()
	leader := c.whole()
	to := (leader + 1) % 3
	w.silence(true, c.Name(leader), c.Name(to))
	c.propose("before")
	for range 2 {
		if name, err := c.members[leader].node.Transfer(c.context(), c.Name(to)); err == nil {
			t.Fatalf("leadership was transferred to %s", name)
		}
	}
	if _, _, err := c.members[leader].node.Propose(c.context(), []byte("after")); err != nil {
		t.Fatalf("a command after the transfer failed: %v", err)
	}
	w.silence(false, c.Name(leader), c.Name(to))
	c.agree("before", "after")
	c.eventually("transfer to a member that caught up", func() error {
		_, err := c.members[leader].node.Transfer(c.context(), c.Name(to))
		return err
	})
	c.eventually("transfer back", func() error {
		if at := c.leader(); at != leader {
			_, err := c.members[at].node.Transfer(c.context(), c.Name(leader))
			return fmt.Errorf("%s leads: %w", c.Name(at), err)
		}
		return nil
	})
	c.propose("again")
	c.agree("before", "after", "again")
}

// While leadership is transferred to a peer, what replicates to it is neither
// repeated nor held back, so that the library can end the transfer.
func TestAppendsEndDuringATransfer(t *testing.T) {
	t.Parallel()
	r := newReplicating(t)
	r.wire.set(nil, errCut)
	done := r.append()
	<-r.wire.sent
	r.yield("m-1-1", 1)()
	end := r.yield("m-1-1", 1) // the library may not have noticed the end of the first
	if err := await(t, done); err == nil {
		t.Fatal("a request that failed succeeded")
	}
	end()
	if err := await(t, r.append()); err == nil {
		t.Fatal("a request that failed succeeded")
	}
	r.wire.set(errCut, errCut)
	_ = r.beat()
	if err := await(t, r.append()); !errors.Is(err, errYielding) {
		t.Fatalf("a request to an unreachable peer: %v", err)
	}
	r.wire.set(nil, nil)
	if err := r.beat(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, r.append()); err != nil {
		t.Fatal(err)
	}
	if r.yields("m-1-1", 1) {
		t.Fatal("the transfer did not end with the peer's response")
	}
}

// After a transfer, and in another term, requests to an unreachable peer wait for
// it as they do for others.
func TestAppendsAfterATransferWait(t *testing.T) {
	t.Parallel()
	for name, transfer := range map[string]func(r *replicating){
		"in the term": func(r *replicating) { r.yield("m-1-1", 1)() },
		"in a later term": func(r *replicating) {
			r.yield("m-1-1", 0)()
			r.yield("m-1-1", 0)
		},
		"of another": func(r *replicating) { r.yield("m-2-1", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplicating(t)
			transfer(r)
			r.wire.set(errCut, errCut)
			_ = r.beat()
			done := r.append()
			for range 20 {
				_ = r.beat()
				time.Sleep(time.Millisecond)
			}
			select {
			case err := <-done:
				t.Fatalf("the request ended while the peer was unreachable: %v", err)
			default:
			}
			r.wire.set(nil, nil)
			if err := r.beat(); err != nil {
				t.Fatal(err)
			}
			if err := await(t, done); err != nil {
				t.Fatal(err)
			}
		})
	}
}
