// Package client calls the masters of a runtime: it finds the one that leads,
// and goes on until it has an answer or its context ends.
//
// What it promises:
//
//   - A call never outlives its context's deadline; without one it has ten
//     seconds. The first attempt at each master has a second at most, so that
//     one that hangs does not use up the time of the others.
//   - A command takes effect at most once, however often it had to be sent: it
//     keeps its request id, the sequence number of a session, through all
//     attempts.
//   - A call that ends with [ErrUnknownOutcome] may have been executed. With
//     any other error it was not, and never will be: the session of a command
//     whose outcome is unknown is replaced before the next command, which
//     bars what is left of it.
//   - Commands of one client are executed one after the other, in the order in
//     which they got their turn. Reads do not wait for them.
//
// A client opens its session with its first command, and again after a pause;
// reading needs none. It imports nothing of Raft.
package client
