package consensus

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// watchTick is the time between requests to a peer while this member waits for
	// a response. watchInterval is the time between requests otherwise, and
	// watchIdle how often it is then checked whether one is due earlier.
	watchTick     = 100 * time.Millisecond
	watchInterval = 2 * time.Second
	watchIdle     = watchInterval / 4
)

// peers holds the newest response of each other master to a Describe request of
// this start. It is safe for concurrent use.
type peers struct {
	mu   sync.Mutex
	seen map[string]peerState
	// expected are the masters that are watched.
	expected map[string]bool
}

type peerState struct {
	// response is nil until the peer has responded once.
	response *masterv1.DescribeResponse
}

func newPeers() *peers { return &peers{seen: map[string]peerState{}} }

// expect sets the masters that are watched from now on. What others reported does
// not count any more.
func (p *peers) expect(masters []topology.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = map[string]bool{}
	for _, m := range masters {
		p.expected[m.Name] = true
	}
	maps.DeleteFunc(p.seen, func(name string, _ peerState) bool { return !p.expected[name] })
}

func (p *peers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.expected)
}

// record stores the outcome of a request. response is nil when it failed.
func (p *peers) record(name string, response *masterv1.DescribeResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.expected[name] {
		return
	}
	state := p.seen[name]
	if response != nil {
		state.response = response
	}
	p.seen[name] = state
}

// reports returns the newest report of each peer that responded, and how many
// have not responded to any request.
func (p *peers) reports() (reports []testimony, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, state := range p.seen {
		if state.response == nil {
			failed++
			continue
		}
		reports = append(reports, testimony{peer: name, term: state.response.GetTerm(), remembered: state.response.GetRemembered()})
	}
	return reports, failed
}

// watchPeers keeps one watchPeer running for each other master, while masters are
// added to and removed from the topology and the members.
func (n *Node) watchPeers() {
	running := map[topology.Member]context.CancelFunc{}
	var watchers sync.WaitGroup
	defer watchers.Wait()
	for {
		changed := n.masters.changed.wait()
		wanted := map[topology.Member]bool{}
		others := n.others()
		for _, peer := range others {
			wanted[peer] = true
		}
		n.peers.expect(others)
		for peer, stop := range running {
			if !wanted[peer] {
				stop()
				delete(running, peer)
			}
		}
		for peer := range wanted {
			if running[peer] != nil {
				continue
			}
			ctx, stop := context.WithCancel(n.running)
			running[peer] = stop
			watchers.Go(func() { n.watchPeer(ctx, peer) })
		}
		if !n.pauseUntil(changed, watchIdle) {
			for _, stop := range running {
				stop()
			}
			return
		}
	}
}

// watchPeer exchanges state with another master until ctx is done: what it
// remembers of this member until that may vote, the commit index if it is the
// leader and this member is not known to be caught up, and otherwise, less
// often, the position of this member's log, for it to remember.
func (n *Node) watchPeer(ctx context.Context, peer topology.Member) {
	var asked time.Time
	recorded := false
	for {
		passed, refuted := n.proof.state()
		leader, _ := n.Leader()
		urgent := refuted != "" || !passed || !recorded || leader == peer.Name && n.progress.unknown(time.Now())
		if urgent || time.Since(asked) >= watchInterval {
			asked = time.Now()
			recorded = n.exchange(ctx, peer, passed)
		}
		tick := watchIdle
		if urgent {
			tick = watchTick
		}
		if !n.pauseWith(ctx, tick) {
			return
		}
	}
}

// exchange sends one request, and reports whether the peer has recorded this
// member's state.
func (n *Node) exchange(ctx context.Context, peer topology.Member, record bool) bool {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	request := &masterv1.DescribeRequest{MemberId: string(n.id), Record: record}
	if record {
		request.Caller = peerRecord{
			incarnation: n.proof.incarnation(), Last: n.position(), Format: n.config.Format, Full: n.space.reason() != "",
		}.message()
	}
	response, err := n.config.Peers.Describe(ctx, peer, request)
	if err == nil && (response.GetName() != peer.Name || response.GetClusterId() != n.config.ClusterID) {
		response, record = nil, false // another cluster; see Node.describeOthers
	}
	if err != nil || response != nil && !n.sameEpoch(peer.Name, response.GetTerm(), response.GetHasState()) {
		response = nil
	}
	n.peers.record(peer.Name, response)
	if response == nil {
		return false
	}
	if record {
		n.proof.doubt(testimony{peer: peer.Name, remembered: response.GetRemembered()})
	}
	n.observeLeader(response)
	n.replaceIfRefuted(ctx, peer, response)
	return record
}

// observeLeader records the commit index of the leader. One of an older version
// does not return it: then that of its last request counts, so that members can
// be updated one after the other.
func (n *Node) observeLeader(response *masterv1.DescribeResponse) {
	leader, term := n.Leader()
	switch {
	case response.GetLeadingTerm() != 0 && response.GetLeadingTerm() == term:
		n.progress.observe(response.GetCommitIndex(), time.Now())
	case response.GetFormatVersion() == 0 && response.GetName() == leader && n.progress.receives(time.Now()):
		n.progress.observe(n.progress.commitIndex(), time.Now())
	}
}

// replaceIfRefuted makes this member a new one if its disk is an older copy and
// the others have a leader that can spare it. Until then it follows: it does not
// vote, but commands may need it for a majority.
func (n *Node) replaceIfRefuted(ctx context.Context, peer topology.Member, response *masterv1.DescribeResponse) {
	_, refuted := n.proof.state()
	if refuted == "" || response.GetLeadingTerm() == 0 {
		return
	}
	if err := n.requestProbe(ctx, peer, string(n.id)); err != nil {
		n.logger.Debug("this master cannot be replaced yet", "error", err)
		return
	}
	_ = n.retire(refuted)
}

// Format returns the newest format of commands that every member of the
// configuration can apply.
func (n *Node) Format() uint32 { return n.memory.formats(n.servers(), n.id, n.config.Format) }

// remember handles the part of a Describe request that describes the caller.
func (n *Node) remember(request *masterv1.DescribeRequest, response *masterv1.DescribeResponse) {
	id := raft.ServerID(request.GetMemberId())
	last := request.GetCaller().GetLastTerm()
	if id == "" || n.closing.Load() || !n.sameEpoch(nameOf(string(id)), last, last > 0) {
		return
	}
	if r, ok := n.memory.of(id); ok {
		response.Remembered = r.message()
	}
	if !request.GetRecord() {
		return
	}
	if err := n.memory.record(id, recordOf(request.GetCaller()), n.servers()); err != nil {
		n.logger.Warn("cannot record the state of another master", "member", id, "error", err)
	}
}
