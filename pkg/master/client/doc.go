// Package client calls the masters of a runtime: it finds the leader, and
// retries until it has a response or its context is done.
//
// Guarantees:
//
//   - A call never outlives its context's deadline; without one it has ten
//     seconds. The first attempt at each master takes a second at most, so that
//     a master that hangs does not use up the time of the others.
//   - A command takes effect at most once, however often it is sent: it keeps
//     its request id, the sequence number of a session, through all attempts.
//   - A call that ends with [ErrUnknownOutcome] may have been executed. With
//     any other error it was not, and never will be: the session of a command
//     whose outcome is unknown is replaced before the next command, which
//     fences off the old command.
//   - Commands of one client are executed one after the other, in the order in
//     which they acquired the turn. Reads do not wait for them.
//
// A client opens its session with its first command, and again after an idle
// period. Reads need no session. The package imports nothing of Raft.
package client
