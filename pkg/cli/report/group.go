package report

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Peer is a member of a Raft configuration.
type Peer struct {
	// Name of the member.
	Name string `json:"name"`
	// MemberID in the configuration.
	MemberID string `json:"memberID"`
	// Address of its Raft port.
	Address string `json:"address"`
	// Voter is true if the member votes in elections.
	Voter bool `json:"voter"`
	// ContactSeconds since the member last responded to the leader; only in the view of
	// the leader, and absent for itself and before the first response in its term.
	ContactSeconds *float64 `json:"contactSeconds,omitempty"`
	// Behind is the number of entries of the leader's log that the member has not
	// acknowledged; only in the view of the leader, and absent before the first
	// acknowledgement.
	Behind *uint64 `json:"behind,omitempty"`
	// CaughtUpSince is since when the leader has observed that the member responds and
	// is caught up; only in the view of the leader, and absent while it is not.
	CaughtUpSince *metav1.Time `json:"caughtUpSince,omitempty"`
	// Stable is true if that is long enough for a new member to be promoted; only in
	// the view of a leader that reports its health.
	Stable *bool `json:"stable,omitempty"`
	// Fault is why the member is not healthy; only in the view of the leader.
	Fault string `json:"fault,omitempty"`
}

// GroupHealth is the health of the Raft group as its leader observes it.
type GroupHealth struct {
	// Healthy is true if every master of the topology is a voter that responds, is
	// caught up and accepts changes, and there are no other members.
	Healthy bool `json:"healthy"`
	// Reason is why the group is not healthy.
	Reason string `json:"reason,omitempty"`
	// FailureTolerance is how many voters may fail now without a loss of the majority.
	FailureTolerance int `json:"failureTolerance"`
}

// Results of a Verification.
const (
	// VerifiedEqual: all members were compared and are equal.
	VerifiedEqual = "Equal"
	// VerifiedDifferent: two members differ.
	VerifiedDifferent = "Different"
	// VerifiedIncomplete: some members were not compared.
	VerifiedIncomplete = "Incomplete"
)

// Verification is the result of the last `raft verify` that a master received.
type Verification struct {
	// Time at which the master received it.
	Time metav1.Time `json:"time"`
	// Result is Equal, Different or Incomplete.
	Result string `json:"result"`
	// First and Last bound the entries that were compared; absent if there were none.
	First uint64 `json:"first,omitempty"`
	// Last: see First.
	Last uint64 `json:"last,omitempty"`
	// Failed are the masters that did not respond or whose log is damaged.
	Failed []string `json:"failed,omitempty"`
}

// GroupHealth returns the health of the Raft group; nil if no leader reports it.
func (r *Runtime) GroupHealth() *GroupHealth {
	if leader := r.Leader(); leader != nil {
		return leader.Group
	}
	return nil
}

// Observed returns what the leader observes of the member of a name; nil if no leader
// reports the health of its group.
func (r *Runtime) Observed(name string) *Peer {
	leader := r.Leader()
	if leader == nil || leader.Group == nil {
		return nil
	}
	var found *Peer
	for i := range leader.Peers {
		p := &leader.Peers[i]
		// While a lost member is being replaced, two have its name.
		if p.Name == name && (found == nil || p.CaughtUpSince != nil) {
			found = p
		}
	}
	return found
}

// LastVerification returns the newest verification that a master reports; nil if none
// does.
func (r *Runtime) LastVerification() *Verification {
	var newest *Verification
	for i := range r.Masters {
		v := r.Masters[i].Verification
		if v != nil && (newest == nil || newest.Time.Before(&v.Time)) {
			newest = v
		}
	}
	return newest
}
