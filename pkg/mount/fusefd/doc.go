// Package fusefd keeps a FUSE mount alive across the death of its server.
//
// Two processes share a mount. The holder (the supervisor of a local runtime,
// the node plugin on Kubernetes) opens /dev/fuse, mounts, and keeps the
// descriptor and a memory file of slots. The server connects to the holder's
// unix socket, receives duplicates of both, and serves the kernel. When the
// server dies, requests wait in the kernel until the next server has connected;
// readers see a pause and no error.
//
// Both sides may rely on the following:
//
//   - One server at a time. A second server waits until the connection of the
//     first is closed, which the kernel does when the process dies. Every
//     attachment has a generation, larger than all previous ones.
//
//   - A request is read from the kernel into a slot of the memory file, and
//     the slot stays live until its reply is written, so that a successor finds
//     and completes the requests in progress (see Slot).
//
//   - The request that opened the connection (FUSE_INIT) and the largest id ever
//     passed to the kernel are kept in the memory file: ids are never reused
//     within one mount.
//
//   - A mount without a server for Options.ServerTimeout is aborted: requests
//     fail with ENOTCONN instead of hanging. The holder acts on its own mount
//     only, by umount2(2), and never opens a file on it.
//
//   - Unmount ends every hanging request, and does not hang itself.
//
//   - A server can have the holder register files with the kernel, from which the
//     kernel then reads itself (FUSE passthrough): the server needs no privilege.
//     The holder checks every file (see Options.AcceptBacking). Registrations
//     outlive the server and the holder, are bounded, and belong to one mount.
//
//   - A server can have the holder drop the names that the kernel keeps of a
//     directory while it serves a request of that directory. Neither waits for the
//     other (see drop.go).
//
// The messages on the socket carry a version and a list of features. The package
// has no notion of names and imports no FUSE library.
package fusefd
