package consensus

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// scripted is a transport whose requests have outcomes that a test sets.
type scripted struct {
	raft.Transport

	mu sync.Mutex
	// err is the outcome of heartbeats, appendErr that of requests that
	// replicate.
	err, appendErr error
	// appends counts the requests that replicate.
	appends int
	sent    chan struct{}
}

func (s *scripted) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if heartbeat(request) {
		return s.err
	}
	s.appends++
	select {
	case s.sent <- struct{}{}:
	default:
	}
	if s.appendErr == nil {
		*response = raft.AppendEntriesResponse{Term: request.Term, Success: true}
	}
	return s.appendErr
}

func (s *scripted) set(err, appendErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.appendErr = err, appendErr
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appends
}

// replicating is a transport over a scripted one, of a leader that leads until
// the test says otherwise.
type replicating struct {
	*transport
	wire *scripted

	mu    sync.Mutex
	leads bool
}

func newReplicating(t *testing.T) *replicating {
	t.Helper()
	r := &replicating{wire: &scripted{sent: make(chan struct{}, 1)}, leads: true}
	c := newCluster(t, 1).config(0)
	r.transport = &transport{
		Transport: r.wire, acks: newAckTracker(), reachable: newReachability(), logger: c.Logger,
		heartbeat: 10 * time.Millisecond, stopped: make(chan struct{}),
		remember: func(raft.ServerID, position) {},
	}
	r.transport.leads = func(raft.ServerID, uint64) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.leads
	}
	return r
}

func (r *replicating) depose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leads = false
}

func (r *replicating) beat() error {
	return r.AppendEntries("m-1-1", "", &raft.AppendEntriesRequest{Term: 1}, &raft.AppendEntriesResponse{})
}

// append replicates an entry, and returns the channel of its outcome.
func (r *replicating) append() chan error {
	done := make(chan error, 1)
	go func() {
		var response raft.AppendEntriesResponse
		request := &raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 4, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 5, Term: 1, Extensions: []byte{1}}}}
		err := r.AppendEntries("m-1-1", "", request, &response)
		if err == nil && !response.Success {
			err = errors.New("the response is not the peer's")
		}
		done <- err
	}()
	return done
}

// await fails the test when an append does not end.
func await(t *testing.T, done chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(waitTimeout):
		t.Fatal("the request did not end")
		return nil
	}
}

func TestAppendsWaitForAnUnreachablePeer(t *testing.T) {
	t.Parallel()
	r := newReplicating(t)
	r.wire.set(errCut, errCut)
	if err := r.beat(); !errors.Is(err, errCut) {
		t.Fatalf("a heartbeat to an unreachable peer: %v", err)
	}
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
	if sent := r.wire.count(); sent != 0 {
		t.Fatalf("%d requests were sent to an unreachable peer", sent)
	}
	r.wire.set(nil, nil)
	if err := r.beat(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); err != nil {
		t.Errorf("after the peer returned: %v", err)
	}
	if c, ok := r.acks.contact("m-1-1"); !ok || c.match != 5 {
		t.Errorf("the leader counts %+v", c)
	}
}

// The library would count each failure, and wait for up to 10 s after the last.
func TestAFailedAppendIsRepeatedAfterAHeartbeat(t *testing.T) {
	t.Parallel()
	r := newReplicating(t)
	r.wire.set(nil, errCut)
	done := r.append()
	for sent := 0; sent < 20; sent++ {
		<-r.wire.sent
		if err := r.beat(); err != nil {
			t.Fatal(err)
		}
		for r.wire.count() == sent+1 { // until the repetition
			_ = r.beat()
			time.Sleep(time.Millisecond)
		}
	}
	r.wire.set(nil, nil)
	_ = r.beat()
	if err := await(t, done); err != nil {
		t.Errorf("after the peer accepted it: %v", err)
	}
}

func TestAWaitingAppendEndsWithLeadership(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*replicating){
		"deposed": (*replicating).depose,
		"stopped": func(r *replicating) {
			stopped := make(chan struct{})
			close(stopped)
			r.stopped = stopped
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicating(t)
			r.wire.set(errCut, errCut)
			_ = r.beat()
			end(r)
			if err := await(t, r.append()); err == nil {
				t.Error("a request succeeded that was never sent")
			}
		})
	}
}

// A removed follower that does not respond must not hold up the change, nor the
// shutdown of the leader.
func TestAnUnreachableMemberIsReplaced(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	away := (leader + 1) % 3
	c.propose("before")
	c.kill(away)
	for i := range 20 {
		c.propose(fmt.Sprint("while it is away ", i))
	}
	c.Wipe(away)
	c.start(away)
	c.whole()
	c.propose("after")
	c.agree("before", "after")
}

func TestRequestsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	entry := func(size int) *raft.Log { return &raft.Log{Data: make([]byte, size)} }
	for _, test := range []struct {
		sizes []int
		want  int
	}{
		{nil, 0},
		{[]int{1, 2, 3}, 3},
		{[]int{maxAppendBytes}, 1},
		{[]int{maxAppendBytes, 1}, 1},
		{[]int{MaxCommand, MaxCommand}, 1},
		{[]int{maxAppendBytes / 2, maxAppendBytes / 2, 1}, 2},
	} {
		request := &raft.AppendEntriesRequest{}
		for _, size := range test.sizes {
			request.Entries = append(request.Entries, entry(size))
		}
		trim(request)
		if len(request.Entries) != test.want {
			t.Errorf("of entries of %v bytes, %d are sent, want %d", test.sizes, len(request.Entries), test.want)
		}
	}
}

// sizeGauge measures the requests that replicate, of all members.
type sizeGauge struct {
	mu     sync.Mutex
	most   int
	shared bool
}

func (g *sizeGauge) add(request *raft.AppendEntriesRequest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	size := 0
	for _, entry := range request.Entries {
		size += len(entry.Data)
	}
	g.most = max(g.most, size)
	g.shared = g.shared || len(request.Entries) > 1
}

// gauged is the transport of one member.
func (g *sizeGauge) read() (most int, shared bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most, g.shared
}

type gauged struct {
	raft.Transport
	gauge *sizeGauge
}

var _ raft.WithPreVote = (*gauged)(nil)

func (g *gauged) RequestPreVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	return g.Transport.(raft.WithPreVote).RequestPreVote(id, to, request, response)
}

func (g *gauged) AppendEntries(id raft.ServerID, to raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	g.gauge.add(request)
	return g.Transport.AppendEntries(id, to, request, response)
}

// large returns the number and size of the entries that a follower misses.
func large() (int, int) {
	if os.Getenv("JINDO_LONG") != "" {
		return 600, 512 << 10
	}
	return 40, 192 << 10
}

func TestAFollowerBehindByLargeEntriesCatchesUp(t *testing.T) {
	t.Parallel()
	gauge := &sizeGauge{}
	c := newCluster(t, 3, func(c *Config) {
		c.hooks.transport = func(inner raft.Transport) raft.Transport {
			return &gauged{Transport: inner, gauge: gauge}
		}
	})
	c.startAll()
	away := (c.whole() + 1) % 3
	c.kill(away)
	count, size := large()
	for i := range count {
		c.propose(fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
	}
	c.start(away)
	c.whole()
	c.agree()
	if got := len(c.members[away].state.all()); got < count {
		t.Errorf("the follower has %d commands of %d", got, count)
	}
	if most, shared := gauge.read(); most > maxAppendBytes || !shared {
		t.Errorf("the largest request had %d bytes; entries shared one: %v", most, shared)
	}
}

func TestALargeCommandIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	m := c.start(0)
	c.whole()
	if _, _, err := m.node.Propose(c.context(), make([]byte, MaxCommand+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a command of more than MaxCommand: %v", err)
	}
	if _, _, err := m.node.Propose(c.context(), make([]byte, MaxCommand)); err != nil {
		t.Errorf("a command of MaxCommand: %v", err)
	}
}

// The number of entries behind a snapshot does not bound their bytes.
func TestTheLogBehindASnapshotIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, func(c *Config) {
		c.sizes = sizes{trailing: 1000, trailingBytes: 1 << 20, threshold: 1 << 40, interval: time.Hour}
	})
	m := c.start(0)
	c.whole()
	for i := range 40 {
		c.propose(fmt.Sprintf("%d %s", i, strings.Repeat("x", 100<<10)))
	}
	if err := m.node.snapshot(); err != nil {
		t.Fatal(err)
	}
	if left := m.node.Status().GetLogEntries(); left < 8 || left > 14 {
		t.Errorf("%d entries of 100 KiB remain, want those of 1 MiB", left)
	}
	c.kill(0)
	m = c.start(0)
	c.whole()
	if got := len(m.state.all()); got != 40 {
		t.Errorf("%d commands of 40 are left after a restart", got)
	}
}

// The follower's log begins after its snapshot, and the response to the first
// entries is lost. The library alone would reject their repetition, and be sent
// the snapshot again without end.
func TestALostResponseAfterASnapshotIsRepeated(t *testing.T) {
	t.Parallel()
	w := newLinks()
	c := newCluster(t, 3, w.configure, func(c *Config) {
		c.sizes = sizes{trailing: 1, threshold: 1 << 40, interval: time.Hour}
	})
	c.startAll()
	leader := c.whole()
	away := (leader + 1) % 3
	c.kill(away)
	for i := range 20 {
		c.propose(fmt.Sprint("before the snapshot ", i))
	}
	if err := c.members[leader].node.snapshot(); err != nil {
		t.Fatal(err)
	}
	follower := c.start(away)
	c.whole()
	if follower.state.restored == 0 {
		t.Fatal("the follower was not sent a snapshot")
	}
	// The other member may take over while responses are lost.
	const losses = 3
	for _, from := range []int{leader, 3 - leader - away} {
		w.lose(losses, c.Name(from), c.Name(away))
	}
	c.eventually("a response is lost", func() error {
		// On a busy machine the member itself may lead.
		if c.leader() == away {
			_, _ = c.members[away].node.Transfer(c.context(), c.Name(leader))
		}
		c.propose("after the snapshot")
		c.whole()
		left := 0
		for _, from := range []int{leader, 3 - leader - away} {
			left += w.lost(c.Name(from), c.Name(away))
		}
		if left == 2*losses {
			return errors.New("no response was lost")
		}
		return nil
	})
	c.agree("after the snapshot")
}

func TestLogCacheNeverReturnsADeletedEntry(t *testing.T) {
	t.Parallel()
	store := raft.NewInmemStore()
	cache := newLogCache(store)
	for index := uint64(1); index <= 10; index++ {
		if err := cache.StoreLog(&raft.Log{Index: index, Term: 1, Data: make([]byte, logCacheBytes/4)}); err != nil {
			t.Fatal(err)
		}
	}
	if cache.size > logCacheBytes {
		t.Errorf("the cache has %d bytes", cache.size)
	}
	var l raft.Log
	for index := uint64(1); index <= 10; index++ {
		if err := cache.GetLog(index, &l); err != nil || l.Index != index {
			t.Errorf("entry %d: %v, %v", index, l.Index, err)
		}
	}
	if err := cache.DeleteRange(5, 10); err != nil {
		t.Fatal(err)
	}
	if err := cache.GetLog(9, &l); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("a deleted entry: %v", err)
	}
	if err := cache.StoreLog(&raft.Log{Index: 5, Term: 2}); err != nil {
		t.Fatal(err)
	}
	if err := cache.GetLog(5, &l); err != nil || l.Term != 2 {
		t.Errorf("the entry that replaced another: %+v, %v", l, err)
	}
}
