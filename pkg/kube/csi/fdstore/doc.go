// Package fdstore stores file descriptors outside of the process that uses them,
// so that they survive a crash of that process. For each mount, the node plugin
// stores the FUSE descriptor and the slots of its FUSE servers. The server runs
// in a container of its own and does nothing else. Guarantees:
//
//   - A client that connects first receives every stored entry.
//   - Storing an entry replaces the entry with the same key. The entry is stored
//     when the response has arrived.
//   - When the server restarts without entries, Client.Run stores the entries of
//     the client again.
//   - Only root and the server's own user may connect. There is one client at a
//     time: a new connection closes the previous one.
//
// Messages are JSON packets on a SOCK_SEQPACKET socket and carry a version. A
// newer version accepts messages of every older version and ignores unknown
// fields. The server does not interpret an entry's description.
package fdstore
