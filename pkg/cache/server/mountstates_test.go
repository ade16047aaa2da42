package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// TestMountStates checks that Status has what FUSE servers report with their requests
// for epochs, and nothing of other roles.
func TestMountStates(t *testing.T) {
	h := newHarness(t).ready()
	fuse, other := workerv1.NewCacheClient(h.dial(mtls.Fuse)), workerv1.NewCacheClient(h.dial(mtls.Worker))
	report := func(client workerv1.CacheClient, state *workerv1.MountState) {
		t.Helper()
		if _, err := client.GetEpochs(t.Context(), &workerv1.GetEpochsRequest{Mount: state}); err != nil {
			t.Fatal(err)
		}
	}
	report(fuse, nil)
	report(fuse, &workerv1.MountState{Id: "a", Passthrough: "unsupported"})
	report(fuse, &workerv1.MountState{Id: "b", Files: 1})
	report(fuse, &workerv1.MountState{Id: "a", Files: 7})
	report(fuse, &workerv1.MountState{Id: strings.Repeat("x", maxMountID+1)})
	report(fuse, &workerv1.MountState{Id: "c", Passthrough: strings.Repeat("x", maxMountReason+1)})
	report(other, &workerv1.MountState{Id: "d"})
	response, err := workerv1.NewCacheClient(h.dial(mtls.Admin)).Status(t.Context(), &workerv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range response.GetMounts() {
		got[m.GetState().GetId()] = fmt.Sprintf("%q %d", m.GetState().GetPassthrough(), m.GetState().GetFiles())
		if age := m.GetAge().AsDuration(); age < 0 || age > time.Minute {
			t.Errorf("the age of %s is %s", m.GetState().GetId(), age)
		}
	}
	if want := map[string]string{"a": `"" 7`, "b": `"" 1`}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMountStatesAreBounded checks that states expire, and that one certificate cannot
// displace the states of others.
func TestMountStatesAreBounded(t *testing.T) {
	states, now := newMountStates(), time.Unix(1700000000, 0)
	states.now = func() time.Time { return now }
	one, two, three := mtls.Peer{Role: mtls.Fuse, Name: "one"}, mtls.Peer{Role: mtls.Fuse, Name: "two"}, mtls.Peer{Role: mtls.Fuse, Name: "three"}
	flood := func(peer mtls.Peer) {
		for i := range maxOwnMountStates + 100 {
			states.report(peer, &workerv1.MountState{Id: fmt.Sprint(i)})
		}
	}
	flood(one)
	states.report(two, &workerv1.MountState{Id: "0", Files: 3})
	if got := len(states.list()); got != maxOwnMountStates+1 {
		t.Errorf("%d states", got)
	}
	flood(two)
	flood(three)
	if got := len(states.list()); got != maxMountStates {
		t.Errorf("%d states", got)
	}
	now = now.Add(mountStateAge + time.Second)
	states.report(three, &workerv1.MountState{Id: "0"})
	if got := states.list(); len(got) != 1 || states.count != 1 || len(states.byPeer) != 1 {
		t.Errorf("%d states of %d peers remain, %d are counted", len(got), len(states.byPeer), states.count)
	}
}
