// Package server implements the services of a master: coordination, heartbeats,
// and the status of a member.
//
// It connects [github.com/jindo-io/jindo/pkg/master/consensus], which orders
// entries, with [github.com/jindo-io/jindo/pkg/master/state], which executes
// them:
//
//   - Commands that arrive at the same time share one log entry (see proposer).
//     The error of a call tells whether its command was executed: with the
//     codes UNAVAILABLE and DEADLINE_EXCEEDED that is unknown; with any other
//     code and a detail it was not.
//   - Reads are linearizable. They are served from memory once consensus has
//     confirmed that this member is still the leader.
//   - A member that is not the leader rejects calls with FAILED_PRECONDITION
//     and a NotLeader detail; nothing was executed.
//   - Every member keeps heartbeats in memory, so that a new leader knows the
//     workers. Heartbeats are never written to the log.
//   - The leader removes workers that were absent for too long and ends
//     sessions that were not used (see leaderLoop). It counts only time during
//     which it was the leader and ran. It writes only when there is something
//     to do, so that the disks of an idle cluster stay idle.
//   - Requests are validated before they are proposed. Errors name the field,
//     the value and what to write instead.
//
// The roles that may make each call are listed in rights.go.
package server
