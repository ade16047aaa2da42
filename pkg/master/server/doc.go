// Package server answers the calls of a master: coordination, heartbeats, and
// what a member says of itself.
//
// It stands between [github.com/jindo-io/jindo/pkg/master/consensus], which
// orders entries, and [github.com/jindo-io/jindo/pkg/master/state], which
// executes them:
//
//   - Commands that arrive at the same time travel in one entry of the log
//     (see proposer). A call that ends with an error says whether its command
//     was executed: codes UNAVAILABLE and DEADLINE_EXCEEDED leave that open,
//     every other code with a detail says no.
//   - Reads are linearizable. They are answered from memory once consensus has
//     confirmed that this member still leads.
//   - A member that does not lead refuses with FAILED_PRECONDITION and a
//     NotLeader detail; nothing was executed.
//   - Heartbeats are kept in memory by every member, so that a new leader
//     knows the workers. They are never in the log.
//   - The leader removes workers that were absent for too long and ends
//     sessions that were not used (see caretaker). It counts only time in
//     which it led and ran, and writes only when there is something to do:
//     disks of an idle cluster stay idle.
//   - Everything is checked before it is proposed. A refusal names the field,
//     the value and what to write instead.
//
// Who may call what is in rights.go.
package server
