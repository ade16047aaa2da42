// Package netlimit bounds the connections of a listener, so that peers which
// were not authenticated can hold neither the process nor its ports.
//
// A [Listener] accepts every connection at once. A connection is pending until
// its handshake, which runs on a goroutine of its own, has authenticated the
// peer. Pending connections are few, in all and from each address, and short:
// the handshake has a deadline that no byte extends. When their bound is
// reached, the newcomer is admitted and the oldest pending connection is closed.
//
// Three rules keep a peer that completes its handshake apart from others that
// do not:
//
//   - Connections that have sent nothing and connections that have sent
//     something are counted separately. Silent connections, however many, do
//     not close one whose handshake is in progress, and the reverse.
//   - Addresses of the topology have slots of their own (see [Addresses]).
//   - An address that is not of the topology may hold a share of the slots.
//
// Authenticated connections are bounded for each owner, which is the role and
// name of a certificate, for each owner at one address, and in all.
package netlimit
