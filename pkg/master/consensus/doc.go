// Package consensus replicates a state machine among the masters of a runtime
// with hashicorp/raft. It knows no tables: what it orders are bytes, and what
// applies them is a [StateMachine].
//
// What it promises, and what that rests on:
//
//   - What Propose acknowledged is committed: on the disks of a majority, each
//     write synced before it counts. A disk that fails or hangs stops the
//     process ([Config.Fatal]): a member never goes on after a write it cannot
//     vouch for.
//   - ReadIndex is linearizable. A voter's answer counts for a read only when
//     it answers something that was sent after the read began, in the same
//     term; answers of members without a vote never count. No clock is
//     involved, so pauses cannot make it wrong.
//   - Identity lives with the disk. A member's id is minted with its directory
//     and synced before it is used. A member that comes back with an empty
//     disk is somebody else: it joins without a vote, catches up, replaces the
//     lost id of its name, and only then votes.
//   - A cluster is formed once. Only the first name of the roster bootstraps,
//     alone, after every listed member said that it has no state; a member
//     that was told "formed" never does.
//   - Bytes are checked. Every log entry, every value that Raft keeps beside
//     the log and every snapshot carries a crc32c, verified when it is read
//     from disk and when it is applied. What fails is never applied and never
//     sent.
//   - Nobody speaks Raft with a stranger. Connections are mutually
//     authenticated, and both ends agree on cluster and member ids before the
//     first byte of Raft.
//
// On disk, below the data directory:
//
//	member/identity.json   name, id and cluster, synced before the id is used
//	member/raft.db         log, term and vote (bbolt); its lock keeps a second
//	                       process out
//	member/snapshots/      the two newest snapshots
//	member/retired         this id was replaced: the next start mints another
//	aside-<id>/            what such a start moved away, for people to look at
//
// Where to begin: node.go opens and closes a member, formation.go brings it
// into a cluster and membership.go lets others in, gate.go and read.go decide
// what a leader may serve, disk.go and checksum.go what is believed of a disk.
// Broken variants for the directed tests are in mutant.go, under a build tag.
//
// What it does not do: reads by followers, leases that stand for reads, and
// changes of the number of members.
package consensus
