// Package fusefd lets a FUSE server die without its mount dying.
//
// Two processes share a mount. The holder (the supervisor of a local runtime,
// the node plugin on Kubernetes) opens /dev/fuse, mounts, and does nothing but
// keep the descriptor and a memory file of slots. The server connects to the
// holder's unix socket, is lent both, and answers the kernel. When the server
// dies, requests wait in the kernel until the next server has connected; no
// reader sees an error.
//
// What both sides may rely on:
//
//   - One server at a time. Another that connects waits until the connection
//     of the one before is closed, which the kernel does when it dies. Every
//     lease has a generation, larger than all before.
//   - A request is read from the kernel into a slot of the memory file, and
//     the slot stays live until its reply is written. So a successor finds
//     what was in flight, and answers it (see Slot).
//   - The request that opened the connection (FUSE_INIT) is kept in the memory
//     file too, and the largest id ever handed to the kernel: ids are never
//     used twice within one mount.
//   - A mount that nobody serves for Options.Patience is aborted: requests
//     fail with ENOTCONN instead of hanging for good. The holder touches only
//     its own mount, by umount2(2), and never opens a file on it.
//   - Unmount ends every request that hangs, and does not hang itself.
//
// The messages on the socket carry a version and room for what is to come, a
// broker for passthrough backings first. This package knows nothing of files
// and imports no FUSE library.
package fusefd
