package consensus

import "fmt"

// The epoch of a cluster is 0 when the cluster is formed, and grows by one when the
// cluster continues without members that may return: see Offline. It is the upper part
// of every term and every index: epoch e begins with an entry, in a snapshot, whose term
// and index are both e<<epochBits.
//
// Invariants:
//
//   - Terms and indexes of an epoch are above those of every earlier one, also those that
//     only lost members have had. What compares terms, positions or indexes (peers,
//     workers, mounts, clients) therefore takes nothing of an earlier epoch for newer
//     than, or equal to, what is in this one.
//   - A member of an earlier epoch neither votes in a later one nor is counted there: the
//     configuration of an epoch begins with one new id, a member connects only to members
//     whose id it has, and what a member of an earlier epoch reports is no testimony; see
//     sameEpoch.
//   - A member with state of an earlier epoch that learns of a later one ends, and joins
//     as a new member. It learns of it from the first response of a master of the later
//     one. Before it votes it has waited for a response or a failure of every other
//     master; see proof.
//   - The format of the directory, and of every request, is the same in all epochs. A
//     member of a version without epochs takes terms and indexes as they are. It does not
//     retire by itself, but it cannot connect to members of a later epoch either, and
//     retires when it requests to join.
const (
	epochBits = 40
	// maxEpoch keeps terms and indexes exact in programs that read them as floating
	// point numbers.
	maxEpoch = 1 << 12
)

// epochOf returns the epoch of a term or an index.
func epochOf(termOrIndex uint64) uint64 { return termOrIndex >> epochBits }

// beginning returns the position of the first entry of an epoch.
func beginning(epoch uint64) position {
	return position{Term: epoch << epochBits, Index: epoch << epochBits}
}

// epoch returns the epoch of what this member's disk holds; 0 for an empty disk.
func (n *Node) epoch() uint64 {
	index, _ := n.snapshots.last()
	return epochOf(max(index, n.store.last.Load()))
}

// sameEpoch reports whether what another master reports counts: the master has no state,
// or is of the epoch of this one. term is any term that it has reached. If its epoch is
// later, this member ends; see retire.
func (n *Node) sameEpoch(peer string, term uint64, hasState bool) bool {
	if !n.hasState() || !hasState {
		return true
	}
	own, other := n.epoch(), epochOf(term)
	if other > own {
		_ = n.retire(fmt.Sprintf("%s is of epoch %d of the cluster, which was recovered without this member, of epoch %d", peer, other, own))
	}
	return other == own
}
