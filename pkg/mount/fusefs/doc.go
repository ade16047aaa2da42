// Package fusefs serves a read-only tree of mounts to the kernel. A new server
// can take over from one that died while it processed requests.
//
// The server has its own request loop: it reads a request from the FUSE
// descriptor into a slot that outlives the process, has go-fuse decode the
// request and encode the reply, and writes the reply. A table holds the state
// that the kernel relies on: the nodeids that it knows with their lookup counts,
// the open handles with the version that each of them reads, and the positions of
// directory readers.
//
// The takeover depends on these invariants:
//
//   - A change of the table is committed to its file before the reply that makes
//     it known to the kernel is written. The file is mapped: what a killed process
//     has stored stays in the page cache. It is not synced: it must survive this
//     process but not the machine, because the mount does not survive the machine
//     either. The old server is dead when its successor opens the file.
//   - The bytes that a change overwrites are in the undo log first. A successor
//     restores them if the change was not committed, so that a server can be
//     killed between any two instructions.
//   - The table holds what each request without a reply has changed. A successor
//     undoes the changes of requests that are live in a slot without a reply, and
//     processes those requests again; a FORGET is continued. A reply found in a
//     slot is written again, and its changes remain valid. Therefore every request
//     takes effect exactly once.
//   - Neither a takeover nor a change takes longer because the table is large:
//     nothing is read, parsed or compacted. What has to visit every record runs in
//     the background and releases the lock every few records.
//   - Every record is verified by checksums when it is used. A record that is
//     damaged is lost and reported; it never returns another version.
//   - Ids of nodes and handles are never reused within a mount.
//   - The nodeid of a file identifies one version of it. A changed file gets
//     another nodeid. Therefore the pages that the kernel caches for a nodeid are
//     always valid, and a handle never reads bytes of two versions.
//   - The cookie of a directory entry is a hash of its name, so that it has the
//     same meaning for every server.
//   - The names of a directory that the kernel keeps are of one generation of its
//     listing, and are used for less than EntryTTL. See listings.go.
//   - A name outside every mount is reported as not found only after the source
//     has updated its mounts, and the kernel must not cache that result: an
//     application that has been notified that its data is mounted finds it.
//   - Notifications to the kernel are sent from a separate goroutine and written
//     by the holder. The kernel makes the writer of a notification wait,
//     uninterruptibly, for locks that are held by requests waiting for this
//     server. A server that wrote notifications itself could deadlock and could
//     not even be killed.
package fusefs
