package server

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestRateOfAWorker(t *testing.T) {
	q := newQuotas()
	now := time.Unix(1_700_000_000, 0)
	q.now = func() time.Time { return now }
	refused := 0
	for range 10 * workerBurst {
		leave, err := q.enter(workerPeer)
		if err != nil {
			if status.Code(err) != codes.ResourceExhausted {
				t.Fatal(err)
			}
			refused++
			continue
		}
		leave()
	}
	if refused != 9*workerBurst {
		t.Errorf("%d commands were refused", refused)
	}
	if _, err := q.enter(mtls.Peer{Role: mtls.Worker, Name: "another"}); err != nil {
		t.Errorf("another worker was refused: %v", err)
	}
	for range 10 * workerBurst {
		leave, err := q.enter(adminPeer)
		if err != nil {
			t.Fatalf("an admin was refused: %v", err)
		}
		leave()
	}
	now = now.Add(time.Minute)
	if _, err := q.enter(workerPeer); err != nil {
		t.Errorf("the worker is refused a minute later: %v", err)
	}
}

// TestOneOwnerDoesNotFillTheQueue: an owner may have a part of the queue.
func TestOneOwnerDoesNotFillTheQueue(t *testing.T) {
	q := newQuotas()
	var leaves []func()
	for range maxQueued {
		leave, err := q.enter(adminPeer)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := q.enter(adminPeer); err == nil {
		t.Error("an owner has more commands than it may have")
	}
	if _, err := q.enter(workerPeer); err != nil {
		t.Errorf("another owner was refused: %v", err)
	}
	leaves[0]()
	if _, err := q.enter(adminPeer); err != nil {
		t.Errorf("after a command has ended: %v", err)
	}
}

func TestOwnersAreDropped(t *testing.T) {
	q := newQuotas()
	now := time.Unix(1_700_000_000, 0)
	q.now = func() time.Time { return now }
	for i := range 3 * maxOwners {
		if i%(maxOwners/2) == 0 {
			now = now.Add(2 * ownerKept)
		}
		leave, err := q.enter(mtls.Peer{Role: mtls.Worker, Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	if len(q.owners) > maxOwners {
		t.Errorf("%d owners are tracked", len(q.owners))
	}
}

// TestOneCertificateLeavesSessionsToOthers: a worker opens sessions of an hour as
// fast as it can. Others can open theirs meanwhile.
func TestOneCertificateLeavesSessionsToOthers(t *testing.T) {
	s := newTestbed(t, 1)
	hostile := s.coordination(0, workerPeer)
	opened := 0
	for i := range 2000 {
		response, err := hostile.OpenSession(t.Context(), &masterv1.OpenSessionRequest{
			Session: fmt.Sprintf("hostile-session-%d", i), Ttl: durationpb.New(time.Hour),
		})
		switch {
		case err == nil:
			opened++
			if granted := response.GetTtl().AsDuration(); granted > maxGranted {
				t.Fatalf("the session has a time to live of %s", granted)
			}
		case status.Code(err) != codes.ResourceExhausted:
			t.Fatal(err)
		}
	}
	if quota, _ := sessionQuota(mtls.Worker); opened > int(quota) {
		t.Errorf("%d sessions are open, at most %d may be", opened, quota)
	}
	open(t, s.coordination(0, adminPeer), sessionID)
	s.registered(7)
}
