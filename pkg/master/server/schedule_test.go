package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// store is an archiver whose objects all masters share. It is used by one goroutine.
type store struct {
	now     func() time.Time
	objects []*workerv1.StoredSnapshot
	// workers are the names of those that were called, fail the next results.
	workers []string
	asked   int
	fail    []error
	// during is called while an object is stored.
	during func()
}

func (s *store) failure() error {
	if len(s.fail) == 0 {
		return nil
	}
	err := s.fail[0]
	s.fail = s.fail[1:]
	return err
}

func (s *store) latest(_ context.Context, worker *commonv1.RingMember, _ *workerv1.SnapshotTarget) (*workerv1.StoredSnapshot, error) {
	s.asked++
	s.workers = append(s.workers, worker.GetName())
	if err := s.failure(); err != nil || len(s.objects) == 0 {
		return nil, err
	}
	return s.objects[len(s.objects)-1], nil
}

func (s *store) store(_ context.Context, worker *commonv1.RingMember, _ *workerv1.SnapshotTarget) (*workerv1.StoreSnapshotResponse, string, error) {
	s.workers = append(s.workers, worker.GetName())
	if s.during != nil {
		s.during()
	}
	if err := s.failure(); err != nil {
		return nil, "", err
	}
	o := &workerv1.StoredSnapshot{Key: "k", Index: 7, Size: 9, Time: timestamppb.New(s.now())}
	s.objects = append(s.objects, o)
	return &workerv1.StoreSnapshotResponse{Stored: o}, "sum", nil
}

// scheduled is masters with a schedule, a clock that the test moves, and a store.
type scheduled struct {
	*testbed
	clock     time.Time
	of        *topology.SnapshotSchedule
	store     *store
	idle      []*Server
	schedules []*schedule
}

func newScheduled(t *testing.T, masters int) *scheduled {
	t.Helper()
	s := &scheduled{testbed: newTestbed(t, masters), clock: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)}
	s.registered(0)
	s.registered(1)
	c := s.coordination(0, adminPeer)
	open(t, c, sessionID)
	if _, err := c.Mount(t.Context(), &masterv1.MountRequest{Request: id(1), Mount: dataMount()}); err != nil {
		t.Fatal(err)
	}
	s.of = &topology.SnapshotSchedule{Mount: "data", URI: "oss://bucket/", Prefix: "backup", IntervalSeconds: 3600, Keep: 3}
	s.store = &store{now: func() time.Time { return s.clock }}
	for i := range masters {
		member := s.log.Member(i)
		// Not served: the test calls it.
		made, err := New(Config{
			Name: s.Name(i), Topology: s.Topology, Identity: s.Identity(i), Consensus: member, State: member.State, Fatal: member.Fatal,
			Now: s.store.now, Snapshots: func() *topology.SnapshotSchedule { return s.of },
		})
		if err != nil {
			t.Fatal(err)
		}
		made.schedule.archiver, made.schedule.settling = s.store, 0
		s.idle, s.schedules = append(s.idle, made), append(s.schedules, made.schedule)
	}
	return s
}

// after moves the clock and has every master look for what is due.
func (s *scheduled) after(d time.Duration) {
	s.t.Helper()
	s.clock = s.clock.Add(d)
	for _, c := range s.schedules {
		c.tick(s.t.Context())
	}
}

func (s *scheduled) saved(want int) {
	s.t.Helper()
	if len(s.store.objects) != want {
		s.t.Fatalf("at %s: %d snapshots, want %d; %v", s.clock, len(s.store.objects), want, s.schedules[0].state())
	}
}

// The first snapshot is saved at once, and then one in each interval, by the leader only.
func TestSchedule(t *testing.T) {
	s := newScheduled(t, 3)
	s.after(0)
	s.saved(1)
	for range 59 {
		s.after(time.Minute)
	}
	s.saved(1)
	s.after(time.Minute)
	s.saved(2)
	if s.store.asked != 1 {
		t.Errorf("the newest object was requested %d times", s.store.asked)
	}
	want := &masterv1.ScheduledSnapshots{Time: timestamppb.New(s.clock), Index: 7, Size: 9, Key: "k", Mount: "data", Next: timestamppb.New(s.clock.Add(time.Hour))}
	if got := s.schedules[0].state(); !proto.Equal(got, want) {
		t.Errorf("state %v, want %v", got, want)
	}
	if got := s.schedules[1].state(); got != nil {
		t.Errorf("a follower reports %v", got)
	}
	response, err := s.idle[0].Status(t.Context(), &masterv1.StatusRequest{})
	if err != nil || !proto.Equal(response.GetSnapshots(), want) {
		t.Errorf("status %v, %v", response.GetSnapshots(), err)
	}
	if got := figures(t, s.idle[0]); got["jindo_master_scheduled_snapshot_timestamp_seconds"] != float64(s.clock.Unix()) || got["jindo_master_scheduled_snapshot_bytes"] != 9 {
		t.Errorf("metrics %v", got)
	}
	if got, has := figures(t, s.idle[1])["jindo_master_scheduled_snapshot_index"]; has {
		t.Errorf("a follower has the index %v", got)
	}
}

// figures returns the gauges and counters of a master about scheduled snapshots, by name
// and the values of their labels.
func figures(t *testing.T, s *Server) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(s.metrics); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			if strings.Contains(name, "scheduled") {
				got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return got
}

// A new runtime has time to get its mounts before the first snapshot.
func TestScheduleSettles(t *testing.T) {
	s := newScheduled(t, 1)
	s.schedules[0].settling = settling
	s.after(0)
	s.after(settling - time.Second)
	s.saved(0)
	s.after(time.Second)
	s.saved(1)
}

// A new leader neither repeats a snapshot nor omits one.
func TestScheduleOfANewLeader(t *testing.T) {
	s := newScheduled(t, 3)
	s.after(0)
	for i := range 8 {
		s.after(15 * time.Minute)
		s.log.Lead((i + 1) % 3)
		s.after(0)
	}
	s.saved(3) // at 0, 60 and 120 minutes
	s.log.Lead(-1)
	s.after(2 * time.Hour)
	s.saved(3)
	s.log.Lead(1)
	s.after(0)
	s.saved(4)
	// One that stops leading meanwhile records nothing, and the next one finds the object.
	s.clock = s.clock.Add(time.Hour)
	s.store.during = func() { s.log.Lead(2); s.store.during = nil }
	s.after(0)
	s.after(0)
	s.saved(5)
	if got := s.schedules[1].state(); got != nil {
		t.Errorf("a follower reports %v", got)
	}
	if got := s.schedules[2].state(); !got.GetTime().AsTime().Equal(s.clock) {
		t.Errorf("the leader reports %v", got)
	}
}

// A failure is reported, the next attempt is made after a growing time through another
// worker, at most after the interval, and a success ends that.
func TestScheduleAfterFailures(t *testing.T) {
	s := newScheduled(t, 1)
	refused := status.Error(codes.FailedPrecondition, "no such prefix")
	for range 12 {
		s.store.fail = append(s.store.fail, refused)
	}
	var attempts []time.Duration
	begin := s.clock
	for s.clock.Before(begin.Add(8 * time.Hour)) {
		before := len(s.store.workers)
		s.after(15 * time.Second)
		if len(s.store.workers) > before {
			attempts = append(attempts, s.clock.Sub(begin))
		}
		if len(s.store.objects) == 0 && len(attempts) > 0 {
			if got := s.schedules[0].state(); !strings.Contains(got.GetError(), "no such prefix") || got.GetTime() != nil || got.GetFailures() != uint32(len(attempts)) {
				t.Fatalf("state %v after %d", got, len(attempts))
			}
		}
	}
	const second = time.Second
	if want := []time.Duration{15 * second, 30 * second, 60 * second, 120 * second, 240 * second, 480 * second, 960 * second, 1920 * second, 3840 * second, 7440 * second}; len(attempts) < len(want) || !slices.Equal(attempts[:len(want)], want) {
		t.Errorf("attempts at %v, want %v", attempts, want)
	}
	if s.store.workers[0] == s.store.workers[1] || s.store.workers[0] != s.store.workers[2] {
		t.Errorf("workers %v", s.store.workers)
	}
	for len(s.store.fail) > 0 {
		s.after(time.Hour)
	}
	s.after(time.Hour)
	if got := s.schedules[0].state(); got.GetError() != "" || got.GetFailures() != 0 || len(s.store.objects) == 0 {
		t.Errorf("state %v", got)
	}
	if got := figures(t, s.idle[0])["jindo_master_scheduled_snapshot_failures_total refused"]; got != 12 {
		t.Errorf("%v failures are counted", got)
	}
}

// What the newest object says cannot delay the next snapshot by more than the interval,
// nor can a clock that was set.
func TestScheduleWithForeignTimes(t *testing.T) {
	s := newScheduled(t, 1)
	s.store.objects = []*workerv1.StoredSnapshot{{Key: "future", Time: timestamppb.New(s.clock.AddDate(9, 0, 0))}}
	s.after(0)
	s.saved(1)
	s.after(time.Hour)
	s.saved(2)
	s.after(-24 * time.Hour)
	s.saved(2)
	s.after(time.Hour)
	s.saved(3)
	s.after(24 * time.Hour)
	s.saved(4)
	s.store.objects = []*workerv1.StoredSnapshot{{Key: "none"}} // in 1970
	s.log.Lead(0)
	s.after(0)
	s.saved(2)
}

// An edit takes effect at once, another place begins anew, and nothing is saved without a
// schedule, a mount that may be written to, or a worker.
func TestScheduleEdits(t *testing.T) {
	s := newScheduled(t, 1)
	s.after(0)
	edit := func(change func(*topology.SnapshotSchedule)) {
		next := *s.of
		change(&next)
		s.of = &next
	}
	edit(func(of *topology.SnapshotSchedule) { of.IntervalSeconds = 600 })
	s.after(9 * time.Minute)
	s.saved(1)
	s.after(time.Minute)
	s.saved(2)
	before := s.of
	s.of = nil
	s.after(time.Hour)
	s.saved(2)
	if got := s.schedules[0].state(); got != nil {
		t.Errorf("without a schedule it reports %v", got)
	}
	s.of = before
	for _, change := range []func(*topology.SnapshotSchedule){
		func(of *topology.SnapshotSchedule) { of.Mount = "other" },
		func(of *topology.SnapshotSchedule) { of.URI = "oss://other/" },
	} {
		edit(change)
		s.after(time.Hour)
		s.saved(2)
		s.of = before
	}
	s.log.Member(0).Hang(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.schedules[0].tick(ctx)
	s.saved(2)
	s.log.Member(0).Hang(false)
	s.after(0)
	s.saved(3)
}

// The text of a failure is one bounded line of UTF-8 without control characters, for any
// error of a store.
func TestReasonText(t *testing.T) {
	hostile := errors.New("\x1b[31m\r\n\xff" + strings.Repeat("é", maxReason))
	if got := reasonText(hostile); !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\r\n") || len(got) > 2*maxReason {
		t.Errorf("%q", got)
	}
}

func TestScheduleWithoutWorkers(t *testing.T) {
	s := newTestbed(t, 1)
	c := newSchedule(s.servers[0])
	if _, err := c.worker(); !errors.Is(err, errNoWorker) || failureReason(err) != "no_worker" {
		t.Errorf("error %v", err)
	}
	for code, want := range map[codes.Code]string{codes.Aborted: "store", codes.DeadlineExceeded: "timeout", codes.Unavailable: "unreachable", codes.Unimplemented: "refused"} {
		if got := failureReason(status.Error(code, "")); got != want || !slices.Contains(reasonsOfFailure(), got) {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}
