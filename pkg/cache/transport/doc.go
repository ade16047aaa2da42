// Package transport holds the connections for bytes between the components of a
// runtime: mutual TLS between hosts, and a unix socket between processes of one
// host.
//
// # Unix sockets
//
// A worker listens on NAME.http in a directory that the processes of its host
// share. HTTP on the socket is the same as on the port. Both ends verify each
// other twice:
//
//   - The kernel records the user of a socket's peer (SO_PEERCRED). The worker
//     accepts its own user, root and one group, and a client only a server of its
//     own user or of root.
//   - Both ends run a TLS handshake with their certificates over the socket. So
//     the role, the name and the mounts of a peer are exactly those that it has
//     over TLS, and the worker is the one whose name the client expects.
//
// After the handshake the bytes are sent in the clear: nothing but the two
// processes can read or change them. The server ends the handshake with one
// encrypted byte, before which the client sends no request, so that neither end
// has read bytes of HTTP as part of the handshake.
//
// The sockets of sealed files, which carry packets with descriptors instead of HTTP,
// have the same checks: see [ListenPackets] and package fdpass.
//
// A client uses TLS where the socket is absent or refuses it: see [Transport].
package transport
