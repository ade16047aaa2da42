package consensus

import (
	"context"
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
	c.proposeTo([]*member{c.members[leader], c.members[3-leader-to]}, "after")
	w.silence(false, c.Name(leader), c.Name(to))
	c.agree("before", "after")
	c.transfer(c.Name(to), to)
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

// TestASuccessorCommitsWithTheMemberThatLeaves: a leader that ends hands leadership
// over and stays for a time, because the successor may reach no other member yet.
func TestASuccessorCommitsWithTheMemberThatLeaves(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c := newCluster(t, 3, w.configure, func(c *Config) { c.hooks.stay, c.Election = waitTimeout, waitTimeout/6 })
	c.startAll()
	leader := c.whole()
	to, third := (leader+1)%3, (leader+2)%3
	// The third does not become the successor, and does not replicate with it.
	w.silence(true, c.Name(leader), c.Name(third))
	w.part(true, c.Name(to), c.Name(third))
	c.propose("before")
	leaving := c.members[leader].node
	ctx, cancel := context.WithTimeout(t.Context(), 2*waitTimeout)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- leaving.Shutdown(ctx) }()
	c.eventually("the successor leads", func() error {
		if c.members[to].node.readyTerm() == 0 {
			return errors.New("it is not ready")
		}
		return nil
	})
	if _, _, err := c.members[to].node.Propose(ctx, []byte("after")); err != nil {
		t.Errorf("a command to the successor: %v", err)
	}
	leaving.stop() // which ends the stay
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.part(false, c.Name(to), c.Name(third))
	c.kill(leader)
	c.agree("before", "after")
}
