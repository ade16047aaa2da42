// Package fusefs serves a read-only tree of mounts to the kernel, and takes it
// over from a server that died in the middle of a request.
//
// The server owns its request loop: it reads a request from the fuse
// descriptor into a slot that outlives it, lets go-fuse take it apart and put
// the reply together, and writes the reply. What the kernel was promised is
// kept in a table: the nodeids that it knows and how often it looked them up,
// the handles that it opened and the version each of them reads, and where
// readers of directories stand.
//
// Invariants, which the takeover rests on:
//
//   - A change of the table is in the journal before the reply that tells the
//     kernel of it is written. The journal is written with write(2) and not
//     synced: it has to survive this process, not the machine, for the mount
//     does not survive the machine either.
//   - Each record carries the request that made it. A successor drops the
//     records of requests that are live in a slot and have no reply there, and
//     works on those requests afresh; a reply that is there is sent again, and
//     its records stand. So whatever happens, a request counts once.
//   - Ids of nodes and handles are never used twice within a mount.
//   - A file's nodeid means one version of it. A file that changed gets
//     another nodeid, so pages that the kernel keeps for a nodeid are always
//     right, and a handle never sees bytes of two versions.
//   - The cookie of a directory entry is a hash of its name, so that it means
//     the same to every server.
//   - What is not mounted is denied only after the source was asked what is
//     mounted now, and the kernel keeps no such denial: an application that was
//     told that its data is there finds it.
//   - Notifications to the kernel are sent by a goroutine of their own and
//     written by the holder: the kernel makes their writer wait for locks that
//     are held by requests which wait for us, and does so uninterruptibly, so
//     that a server that wrote them itself could not even be killed.
package fusefs
