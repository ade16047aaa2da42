package consensus

import (
	"cmp"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// stateJoining is the state of a member without a vote.
const stateJoining = "JOINING"

// Status returns this member's own view. It sends no request and waits for no
// disk. Fields that consensus does not know (digests, version) are not set.
func (n *Node) Status() *masterv1.StatusResponse {
	leader, term := n.Leader()
	servers := n.servers()
	self, _ := find(servers, n.id)
	snapshot, taken := n.snapshots.last()
	_, since := n.ready.get()
	s := &masterv1.StatusResponse{
		Name:               n.config.Name,
		MemberId:           string(n.id),
		Address:            n.self.RaftAddress(),
		ClusterId:          n.config.ClusterID,
		State:              n.state(self),
		Term:               term,
		Leader:             leader,
		LastLogIndex:       n.raft.LastIndex(),
		CommitIndex:        n.commitIndex(),
		AppliedIndex:       n.fsm.applied.get(),
		LastSnapshotIndex:  snapshot,
		ConfigurationIndex: n.fsm.configuration.Load(),
		FsyncP99:           durationpb.New(n.store.appends.percentile(99)),
		Started:            timestamppb.New(n.started),
		LogEntries:         n.store.entries(),
		LogBytes:           n.store.size(),
		Voter:              self.Suffrage == raft.Voter && self.ID == n.id,
		LastContact:        durationpb.New(0),
	}
	if !taken.IsZero() {
		s.LastSnapshotTime = timestamppb.New(taken)
	}
	if !since.IsZero() {
		s.LeaderSince = timestamppb.New(since)
	}
	if at := n.raft.LastContact(); n.raft.State() != raft.Leader && !at.IsZero() {
		s.LastContact = durationpb.New(time.Since(at))
	}
	for _, server := range servers {
		s.Peers = append(s.Peers, n.peer(server))
	}
	n.addHealth(s, servers)
	s.Verification = n.verification.last()
	for _, listed := range n.Topology().Masters {
		s.Listed = append(s.Listed, listed.Name)
	}
	if obstacle := n.obstacle.Load(); obstacle != nil {
		s.Obstacle = *obstacle
	}
	s.FormatVersion = n.config.Format
	s.Reason = n.unready(s)
	s.Ready = s.Reason == ""
	s.ReadOnly = n.space.reason() != ""
	s.Reason = cmp.Or(s.Reason, n.space.reason())
	return s
}

// unready returns why this member is not ready; empty when it is. Without a
// leader no member is: none could serve a command or a linearizable read.
func (n *Node) unready(s *masterv1.StatusResponse) string {
	_, refuted := n.proof.state()
	unproved := n.proof.reason()
	switch waiting := n.waiting.Load(); {
	case n.failed.Load() || n.closing.Load():
		return "this master is stopping"
	case n.fsm.haltedBy() != nil:
		return n.fsm.haltedBy().Error()
	case refuted != "":
		return refuted
	case waiting != nil:
		return waiting.text
	case !s.GetVoter():
		return "this master is not a voter yet"
	case unproved != "":
		return unproved
	case s.GetLeader() == "":
		return "no leader is known" + n.formerVoters()
	case n.raft.State() == raft.Leader:
		if n.readyTerm() == 0 {
			return "this master was elected and has not committed an entry yet"
		}
	case !n.progress.caughtUp(s.GetAppliedIndex(), time.Now()):
		return fmt.Sprintf("this master has applied the log up to %d of %d, or has not received an entry of the leader recently", s.GetAppliedIndex(), s.GetCommitIndex())
	}
	return ""
}

func (n *Node) state(self raft.Server) string {
	switch state := n.raft.State(); {
	case n.failed.Load() || state == raft.Shutdown:
		return "SHUTDOWN"
	case state == raft.Leader:
		return "LEADER"
	case state == raft.Candidate:
		return "CANDIDATE"
	case self.ID != n.id || self.Suffrage != raft.Voter:
		return stateJoining
	default:
		return "FOLLOWER"
	}
}

// leads reports whether this member is the leader in term, and peer is in the
// configuration.
func (n *Node) leads(peer raft.ServerID, term uint64) bool {
	select {
	case <-n.opened:
	default:
		return true
	}
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return false
	}
	_, known := find(n.servers(), peer)
	return known
}

// commitIndex returns the index up to which entries are known to be committed:
// on a follower, the leader's. After a start, the library's own index is below
// what it has restored from a snapshot.
func (n *Node) commitIndex() uint64 {
	return max(n.raft.CommitIndex(), n.fsm.applied.get(), n.progress.commitIndex())
}

// peer returns one server of the configuration, this member included, with what
// the leader knows about it.
func (n *Node) peer(server raft.Server) *masterv1.Peer {
	address, _ := splitAddress(server.Address)
	p := &masterv1.Peer{
		Name:     nameOf(string(server.ID)),
		MemberId: string(server.ID),
		Address:  address,
		Voter:    server.Suffrage == raft.Voter,
	}
	if n.raft.State() != raft.Leader {
		return p
	}
	if server.ID == n.id {
		p.MatchIndex = n.raft.LastIndex()
		p.LastContact = durationpb.New(0)
		return p
	}
	if c, ok := n.acks.contact(server.ID); ok {
		p.LastContact = durationpb.New(time.Since(c.at))
		p.Rtt = durationpb.New(c.rtt)
		if c.term == n.raft.CurrentTerm() {
			p.MatchIndex = c.match
		}
	}
	return p
}

// addHealth adds what this member observes of the cluster while it serves as the
// leader. The status has a peer for each of the servers.
func (n *Node) addHealth(s *masterv1.StatusResponse, servers []raft.Server) {
	term := n.readyTerm()
	if term == 0 {
		return
	}
	faults := make([]string, len(servers))
	for i, server := range servers {
		p := s.GetPeers()[i]
		faults[i] = n.fault(server)
		p.Fault = faults[i]
		if at, ok := n.health.caughtUpSince(term, server.ID); ok && n.caughtUp(server.ID) {
			p.CaughtUpSince, p.Stable = timestamppb.New(at), time.Since(at) >= n.config.Stabilization
		}
	}
	s.Health = n.clusterHealth(servers, faults)
}

// entries returns the number of entries in the log.
func (d *failStopDisk) entries() uint64 {
	first, last := d.first.Load(), d.last.Load()
	if first == 0 || last < first {
		return 0
	}
	return last - first + 1
}
