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
//   - An expiry of a session, and a removal of an absent worker, carry the last
//     use that they are based on, and change nothing if there was a later one.
//   - Only joining, changing and removing workers create ring epochs. A member
//     that registers again unchanged changes nothing that readers see; one with
//     a new id replaces the member of its name.
//   - Ids of mounts are never reused: they are numbered, and contain a nonce so
//     that a cluster that is formed again does not reuse them either.
//
// # Versions
//
// An entry has the format version of its commands. A leader writes the newest
// that every member of the configuration reports to know, so that a member of an
// older version never meets one that it does not. If it does all the same, for
// instance after it was downgraded, it applies neither that entry nor any later
// one, because a state that skipped an entry would silently diverge: Apply
// returns ErrUnknown, and the member waits for its upgrade.
//
// # The digest
//
// The digest is the sum of the hashes of all rows. It is updated with each
// change, so that its cost does not depend on the size of the state. It covers
// the contents of the state, but not positions in the log (indexes are left
// out): the same commands give the same digest however they were batched.
package state
