package server

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/master/server/servertest"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// loopFixture is a leaderLoop whose clock the test controls.
type loopFixture struct {
	t      *testing.T
	log    *servertest.Log
	server *Server
	now    time.Time
}

func newLoopFixture(t *testing.T) *loopFixture {
	t.Helper()
	log, err := servertest.New("m-0", "m-1")
	if err != nil {
		t.Fatal(err)
	}
	member := log.Member(0)
	made, err := New(Config{
		Name: "m-0", Topology: topology.Topology{Name: "r", ClusterID: "c"}, Identity: &mtls.Identity{}, Consensus: member, State: member.State,
		WorkerAbsence: 10 * time.Minute, Fatal: member.Fatal,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		made.proposer.run(ctx)
		close(done)
	}()
	t.Cleanup(func() { cancel(); <-done })
	c := &loopFixture{t: t, log: log, server: made, now: time.Now()}
	// The proposer uses the same clock as the loop.
	made.proposer.clock.wall = func() time.Time { return c.now }
	c.pass(0)
	return c
}

// pass advances the clock, tick by tick, as for a process that runs.
func (c *loopFixture) pass(d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); ; {
		c.server.leaderLoop.tick(c.t.Context(), c.server.awake.tickAt(c.now))
		if !c.now.Before(end) {
			return
		}
		c.now = c.now.Add(min(time.Second, end.Sub(c.now)))
	}
}

func (c *loopFixture) do(command *statev1.Command) *statev1.Result {
	c.t.Helper()
	result, err := c.server.proposer.propose(c.t.Context(), command)
	if err != nil || result.GetRefusal() != nil {
		c.t.Fatalf("%v: got %v, %v", command, result, err)
	}
	return result
}

func (c *loopFixture) openSession(id string, ttl time.Duration) {
	c.t.Helper()
	c.do(&statev1.Command{Operation: &statev1.Command_OpenSession{OpenSession: &statev1.OpenSession{Session: id, Owner: "o", Ttl: int64(ttl)}}})
}

// register registers workers through a session of their own.
func (c *loopFixture) register(names ...string) {
	c.t.Helper()
	c.openSession("workers", time.Hour)
	for i, name := range names {
		c.do(&statev1.Command{
			Request:   &statev1.Request{Session: "workers", Owner: "o", Sequence: uint64(i) + 1},
			Operation: &statev1.Command_RegisterWorker{RegisterWorker: &statev1.RegisterWorker{Member: ringMember(name)}},
		})
	}
}

func (c *loopFixture) ring() string {
	names := ""
	for _, w := range c.log.Member(0).State.View().Workers() {
		names += w.GetMember().GetName() + " "
	}
	return names
}

func TestLeaderLoopFormsTheCluster(t *testing.T) {
	c := newLoopFixture(t)
	if id := c.log.Member(1).State.View().ClusterID(); id != "c" {
		t.Errorf("the cluster id is %q", id)
	}
}

func TestIdleDisksStayIdle(t *testing.T) {
	c := newLoopFixture(t)
	c.register("w-0")
	c.server.reports.add(report(ringMember("w-0")))
	entries := len(c.log.Entries())
	for range 60 {
		c.pass(10 * time.Second)
		c.server.reports.add(report(ringMember("w-0")))
		_ = c.server.leases.renew("workers", c.server.awake.now()+time.Hour)
	}
	if got := len(c.log.Entries()); got != entries {
		t.Errorf("%d entries were written in ten idle minutes", got-entries)
	}
}

func TestAbsentWorkerIsRemoved(t *testing.T) {
	c := newLoopFixture(t)
	c.register("w-0", "w-1")
	for range 59 {
		c.pass(10 * time.Second)
		c.server.reports.add(report(ringMember("w-1")))
	}
	if c.ring() != "w-0 w-1 " {
		t.Fatalf("before ten minutes, the ring is %s", c.ring())
	}
	c.pass(20 * time.Second)
	if c.ring() != "w-1 " {
		t.Errorf("after ten minutes without w-0, the ring is %s", c.ring())
	}
}

// TestNewDiskIsDistinguishedFromTheOld: a report of another disk of the same name
// does not keep a worker in the ring.
func TestNewDiskIsDistinguishedFromTheOld(t *testing.T) {
	c := newLoopFixture(t)
	c.register("w-0")
	for range 62 {
		c.pass(10 * time.Second)
		c.server.reports.add(&commonv1.WorkerReport{Id: "another", Name: "w-0"})
	}
	if c.ring() != "" {
		t.Errorf("the ring is %s", c.ring())
	}
}

func TestAbsenceCountsFromLeadership(t *testing.T) {
	c := newLoopFixture(t)
	c.register("w-0")
	c.pass(9 * time.Minute)
	c.log.Lead(1)
	c.pass(9 * time.Minute)
	c.log.Lead(0)
	c.pass(9 * time.Minute)
	if c.ring() != "w-0 " {
		t.Fatal("a worker was removed by a leader of nine minutes")
	}
	c.pass(2 * time.Minute)
	if c.ring() != "" {
		t.Error("a worker that was absent for ten minutes is still in the ring")
	}
}

// TestWorkerRegistersAgain: absence counts from the worker's return.
func TestWorkerRegistersAgain(t *testing.T) {
	c := newLoopFixture(t)
	c.register("w-0")
	c.pass(9 * time.Minute)
	c.do(&statev1.Command{Operation: &statev1.Command_RemoveWorker{RemoveWorker: &statev1.RemoveWorker{Name: "w-0"}}})
	c.pass(9 * time.Minute)
	c.do(&statev1.Command{
		Request:   &statev1.Request{Session: "workers", Owner: "o", Sequence: 2},
		Operation: &statev1.Command_RegisterWorker{RegisterWorker: &statev1.RegisterWorker{Member: ringMember("w-0")}},
	})
	c.pass(time.Minute)
	if c.ring() != "w-0 " {
		t.Error("the worker was removed immediately")
	}
}

func TestTimeInWhichTheProcessWasPausedDoesNotCount(t *testing.T) {
	c := newLoopFixture(t)
	c.register("w-0")
	c.openSession("short", time.Minute)
	c.pass(time.Second)
	c.now = c.now.Add(24 * time.Hour) // the machine slept
	c.pass(5 * time.Second)
	if c.ring() != "w-0 " || c.log.Member(0).State.View().Session("short") == nil {
		t.Errorf("after a sleep, the ring is %q and the sessions are %v", c.ring(), c.log.Member(0).State.View().Sessions())
	}
}

func TestUnusedSessionsEnd(t *testing.T) {
	c := newLoopFixture(t)
	c.openSession("idle", time.Minute)
	c.openSession("kept", time.Minute)
	view := func() *state.View { return c.log.Member(0).State.View() }
	for range 5 {
		c.pass(30 * time.Second)
		c.server.leases.renew("kept", c.server.awake.now()+time.Minute)
	}
	if view().Session("idle") != nil || view().Session("kept") == nil {
		t.Fatalf("the sessions are %v", view().Sessions())
	}
	// A new leader grants a full lease, from when it became the leader.
	c.log.Lead(1)
	c.pass(2 * time.Minute)
	c.log.Lead(0)
	c.pass(59 * time.Second)
	if view().Session("kept") == nil {
		t.Fatal("a new leader ended a session before its full lease")
	}
	c.pass(10 * time.Second)
	if view().Session("kept") != nil {
		t.Error("a session outlived its lease")
	}
}

func TestManySessionsExpireTogether(t *testing.T) {
	c := newLoopFixture(t)
	for i := range 1200 {
		c.openSession(fmt.Sprintf("s-%d", i), 5*time.Second)
	}
	entries := len(c.log.Entries())
	c.pass(15 * time.Second)
	if left := len(c.log.Member(0).State.View().Sessions()); left != 0 {
		t.Errorf("%d sessions remain", left)
	}
	if got := len(c.log.Entries()) - entries; got > 6 {
		t.Errorf("used %d entries", got)
	}
}

func TestDiskOfAnotherClusterIsFatal(t *testing.T) {
	c := newLoopFixture(t)
	c.server.config.Topology.ClusterID = "another"
	c.pass(0)
	if c.log.Member(0).Failed() == nil {
		t.Error("the loop continued")
	}
}

func TestLogClock(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := newLogClock()
	clock.wall = func() time.Time { return now }
	read := func(state int64) int64 { return clock.now(state) }
	if got := read(0); got != now.UnixNano() {
		t.Errorf("the first time is %d", got)
	}
	ahead := now.Add(time.Hour).UnixNano()
	if got := read(ahead); got != ahead {
		t.Errorf("behind the state, the time is %d, not %d", got, ahead)
	}
	now = now.Add(time.Second)
	if got := read(ahead); got != ahead+int64(time.Second) {
		t.Errorf("the time did not increase after %d", got)
	}
	now = now.Add(-time.Minute)
	if got := read(0); got != ahead+int64(time.Second) {
		t.Errorf("the time decreased to %d", got)
	}
}
