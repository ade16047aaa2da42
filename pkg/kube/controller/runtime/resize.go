package runtime

import (
	"fmt"
	"slices"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// The number of masters is changed by the topology: masters bring the members of Raft to
// those that it lists. The controller creates newcomers at once, observes the members,
// and stops a master only after it has been removed from them; see package plan.

// mastersProgress returns what is known of the masters for a change of their number.
func mastersProgress(r *report, want *desired, m *masterState) plan.MastersProgress {
	return plan.MastersProgress{Blocked: resizeBlocked(r, m), Settled: m.settled(want)}
}

// resizeBlocked returns why the number of masters cannot be changed now; "" if it can.
func resizeBlocked(r *report, m *masterState) string {
	switch {
	case r.runtime.Annotations[v1alpha1.UpdatesAnnotation] == v1alpha1.UpdatesPaused:
		return fmt.Sprintf("updates are paused by the annotation %s", v1alpha1.UpdatesAnnotation)
	case r.status.Formation == nil || !r.status.Formation.Formed:
		return "the masters have not formed a cluster yet"
	case m.leader == nil:
		return "the masters have no leader"
	}
	for _, member := range m.members {
		if member.Err == nil && len(member.Status.GetListed()) == 0 {
			return fmt.Sprintf("the image of %s does not support a change of the number of masters: add the annotation %s: %s to replace it first",
				member.Member.Name, v1alpha1.UpdatesAnnotation, v1alpha1.UpdatesAutomatic)
		}
	}
	return ""
}

// settled reports whether the members of Raft are the listed masters, all of them ready
// voters.
func (m *masterState) settled(want *desired) bool {
	listed := want.topology.Masters
	if m.leader == nil || len(listed) == 0 || len(m.leader.GetPeers()) != len(listed) || !m.allVote(want.topology) {
		return false
	}
	for _, member := range m.members {
		if _, isListed := want.topology.Master(member.Member.Name); isListed && (member.Err != nil || !member.Status.GetReady()) {
			return false
		}
	}
	return true
}

// peer returns a member of Raft as the leader reports it; nil if it is none.
func (m *masterState) peer(name string) *masterv1.Peer {
	peers := m.leader.GetPeers()
	at := slices.IndexFunc(peers, func(p *masterv1.Peer) bool { return p.GetName() == name })
	if at < 0 {
		return nil
	}
	return peers[at]
}

// votes reports whether a master is a voter.
func (m *masterState) votes(name string) bool { return m.peer(name).GetVoter() }

// setMember sets what the masters report of one of them.
func (m *masterState) setMember(i *plan.Instance, want *desired) {
	peer := m.peer(i.Name)
	i.Leads = m.leader != nil && m.leader.GetName() == i.Name
	i.Member, i.Votes = peer != nil, peer.GetVoter()
	_, listed := want.topology.Master(i.Name)
	i.Unlisted = !listed
}

// addObstacle adds to what a step waits for why the leader cannot change the members.
func (m *masterState) addObstacle(waiting string, step plan.Step) string {
	obstacle := m.leader.GetObstacle()
	if waiting == "" || obstacle == "" || step.Action != plan.ActionRemove {
		return waiting
	}
	return waiting + ": " + obstacle
}
