// Package state implements the replicated state of a runtime's masters: the
// workers in the ring, the mounts and the open sessions. It is independent of
// Raft, the network and the clock.
//
// Guarantees:
//
//   - [Machine.Apply] is a pure function of (state, index, entry). It reads no
//     clock and no random number and does not depend on the order of a map; a
//     time or a nonce comes with the command. Therefore every member that
//     applied the same entries has the same state, and [Machine.Digests] proves
//     it.
//   - A command with a request id takes effect at most once. Its result is
//     stored under (session, sequence) until the client acknowledges it. A
//     repeated request returns that result and changes nothing, not even the
//     clock.
//   - Sequences of a session are executed in order without gaps. A request is
//     not executed, and uses no sequence, when its session is unknown or ended
//     (UNKNOWN_SESSION), when sequences before it are missing (GAP), when its
//     result was acknowledged (FORGOTTEN), or when too many results wait to be
//     acknowledged (UNACKNOWLEDGED). Every other refusal is the result of the
//     command; it is stored and returned again.
//   - A session ends only by a command, which carries a time. The time of the
//     state never decreases, even if proposers send earlier times. A session that has
//     ended is kept for ten minutes of that time, so that a late duplicate of
//     its opening does not make its sequences valid again.
//   - Only joining, changing and removing workers create ring epochs. A member
//     that registers again unchanged changes nothing; one with a new id
//     replaces the member of its name.
//   - Ids of mounts are never reused: they are numbered, and contain a nonce so
//     that a cluster that is formed again does not reuse them either.
//
// # Versions
//
// A member that reads a command, a field or a batch version that it does not
// know has missed an upgrade. If it skipped the entry, its state would silently
// diverge, so it stops: Apply calls Fatal, changes nothing, and refuses every
// later entry. Leaders must therefore not propose what the oldest member does
// not know. The format version of the cluster is the place to agree on that.
//
// # The digest
//
// The digest is the sum of the hashes of all rows. It is updated with each
// change, so that its cost does not depend on the size of the state. It covers
// the contents of the state, but not positions in the log (indexes are left
// out): the same commands give the same digest however they were batched.
package state
