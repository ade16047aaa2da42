// Package consensus replicates a state machine among the masters of a runtime
// with hashicorp/raft. It is independent of the contents of the state: it
// orders byte strings, and a [StateMachine] applies them.
//
// Guarantees, and what each rests on:
//
//   - A command that Propose acknowledged is committed: it is on the disks of a
//     majority, and each write is synced before it counts. A disk that fails or
//     hangs stops the process ([Config.Fatal]); a member never continues after
//     a write whose durability is unknown.
//   - ReadIndex is linearizable. A voter's response counts for a read only if
//     it responds to a request that was sent after the read began, in the same
//     term. Responses of members without a vote never count. No clock is
//     involved, so pauses cannot cause stale reads.
//   - Identity belongs to the disk. A member's id is generated with its
//     directory and synced before it is used. A member that restarts with an
//     empty disk is a new member: it joins without a vote, catches up, replaces
//     the lost id of its name, and only then votes.
//   - A cluster is formed once. Only the first master of the topology
//     bootstraps, alone, after every listed master has reported that it has no
//     state. A member that is configured with Formed never
//     bootstraps.
//   - The members follow the topology, which may change while they run. Newcomers
//     join without a vote, catch up, remain caught up for a time, and are promoted
//     one at a time; a cluster in use has no even number of voters for longer than
//     two changes take. Members that the topology does not list any more are removed
//     one at a time by a leader that it lists, none of which a majority needs; see
//     reconcile and AddMember.
//   - A cluster that has lost its majority is recovered from one member on request
//     only, in the next epoch of the cluster. Members of an earlier epoch neither vote
//     in it nor are counted; see epoch.go and Offline.
//   - Data is checksummed. Every log entry, every value that Raft keeps beside
//     the log and every snapshot carries a crc32c, which is verified when it is
//     read from disk and when it is applied. Data that fails verification is
//     never applied and never sent.
//   - Requests to peers, the log behind a snapshot and the cache of the log are
//     bounded in bytes, and the time that a request may take grows with its
//     bytes. While a peer does not respond to heartbeats, requests that
//     replicate to it wait instead of failing, so that the library's backoff, of
//     up to 10 s, never delays replication to a peer that is back.
//   - A member that loses its leader, or hands leadership over, holds requests for
//     a limited time until it can name the next one: see leaderwait. What it holds
//     was not executed.
//   - A vote needs a current disk. A member that restarts neither votes nor is a
//     candidate until a majority has reported nothing that its disk lacks; see
//     proof.
//   - Ready means replicated to; see progress. A member with a full disk refuses
//     commands and continues; see space and logRoom. One that meets a command of a newer
//     version applies nothing more, and continues to store and vote; see fsm. One that
//     meets it before it has a vote gets none.
//   - Raft runs only between members of one cluster. Connections are mutually
//     authenticated, and both ends agree on cluster and member ids before the
//     first byte of Raft.
//   - A directory proves itself. Before a member uses its directory, it proves
//     that log, snapshots, term and vote hold everything that the member
//     acknowledged; [DamageError] otherwise. A damaged directory is moved away,
//     and the member joins as a new one, when the leader has confirmed that the
//     others do not need it.
//
// On disk, below the data directory:
//
//	lock                   excludes a second process
//	member/identity.json   name, id and cluster, synced before the id is used
//	member/raft.db         log, term and vote (bbolt)
//	member/tail            what the directory must hold at least; see tailRecord
//	member/snapshots/      the two newest snapshots, with the checksum of their
//	                       metadata
//	member/peers.json      what this member remembers of the others
//	member/masters.json    the addresses of masters that the topology lists or listed
//	reserve                space for a full disk; see space
//	verification.json      the last comparison of all members
//	member/retired         this id was replaced: the next start generates another
//	member.new/            a directory that is being created
//	member.former/         a directory that is being replaced; see exchangeRecord
//	aside-<id>/            a directory that was moved away, with the reason in
//	                       why.txt; the newest three are kept
//	aside-snapshot-<id>/   the same for a snapshot
//
// Reading order: node.go opens and closes a member, formation.go brings it into
// a cluster and membership.go admits others, masters.go holds the topology and
// reconcile.go removes what it does not list, by what health.go observes;
// newcomers.go keeps commands from outrunning members without a vote.
// leadership.go and read.go decide what a leader may serve. transport.go sends requests to peers and inbound.go
// receives theirs, over connections of which spares.go keeps some ready.
// peerwatch.go exchanges what members remember of each other, which proof.go and
// memory.go use. memberdir.go proves a directory: tail.go says what it must hold,
// logproof.go and snapshotproof.go read what it holds, rejoin.go replaces it. disk.go and checksum.go verify what is read later.
// offline.go makes the directory of a member that does not run that of a new cluster,
// exchange.go puts it in place, and recover.go does both on request.
// Broken variants for the directed tests are in mutant.go, under a build tag.
//
// Not provided: reads by followers, and leader leases for reads.
package consensus
