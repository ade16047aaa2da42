// Package client is a reader's side of the workers: who they are, which of them
// owns what, what they say about names, and ranges of their bytes.
//
// # The view
//
// Which mounts there are and who owns what comes from the view of the cluster.
// Masters are asked for it at the start; from then on any worker will do,
// because every answer of a worker carries the epochs it knows, and one that
// knows more is asked for its view. An idle client asks some worker for its
// epochs every few seconds. The newest view is kept in a file, so that a client
// starts while no master and no worker answers. A view of another cluster than
// the roster's is never taken, an older one neither.
//
// So a view may be some seconds old. Who must not act on what was true before
// asks the masters with [Client.Current].
//
// # Failures
//
// The worker that owns a name or a range is asked first, then the others in the
// ring's order: any worker can answer. One that refuses connections or hangs is
// remembered for a moment, during which the others are asked before it; then
// one request tries it again. That is remembered of names and of ranges by
// itself: either may hang while the other answers. Names are asked of the next
// worker as well when the one before has been silent for a while, and the first
// answer counts.
//
// Ranges are not retried here: [Client.Fetch] makes one attempt and says how far
// it came, and package reader has the ladder.
package client
