// Package state is the replicated state of a runtime's masters: who is in the
// ring, what is mounted, whose sessions are open. It knows no Raft, no network
// and no clock.
//
// What it promises:
//
//   - [Machine.Apply] is a pure function of (state, index, entry). It reads no
//     clock, draws no random number and follows no map's order; what needs a
//     time or a nonce has it in the command. So every member that applied the
//     same entries has the same state, and [Machine.Digests] proves it.
//   - A command with a request id takes effect at most once. Its result is
//     kept under (session, sequence) until the client acknowledges it, and a
//     repetition gets that result and changes nothing, not even the clock.
//   - Sequences of a session are executed in order without gaps. A request is
//     not taken, and uses no sequence, when its session is unknown or ended
//     (UNKNOWN_SESSION), when sequences before it are missing (GAP), when its
//     result was acknowledged (FORGOTTEN), or when too many results wait to be
//     acknowledged (UNACKNOWLEDGED). Every other refusal is the result of the
//     command, is remembered, and is repeated.
//   - A session ends by a command with a time inside, never by itself. The
//     time of the state never goes back, whatever proposers say. A session
//     that has ended stays known for ten minutes of that time, so that a late
//     duplicate of its opening does not bring its sequences back.
//   - Ring epochs are made by joining, changing and removing workers only. A
//     member that registers again as it is changes nothing; one with a new id
//     takes the place of the member of its name.
//   - Ids of mounts are never used twice: they count up, and carry a nonce so
//     that a cluster formed anew does not repeat them either.
//
// # Versions
//
// A member that meets a command, a field or a batch version it does not know
// was left behind by an upgrade. Skipping it would let it diverge without a
// word, so it stops: Apply calls Fatal, changes nothing, and refuses every
// later entry. Leaders must therefore not propose what the oldest member does
// not know; the format version of the cluster is where that will be agreed.
//
// # The digest
//
// The digest is the sum of the hashes of all rows, kept up to date with each
// change, so it costs the same however large the state is. It covers what the
// state says and not where in the log it was said (indexes are left out): the
// same commands give the same digest however they were batched.
package state
