// Package client provides access to the workers of a runtime: the view of the
// cluster, which worker owns what, names, and ranges of bytes.
//
// # The view
//
// The view of the cluster holds the mounts and the rings. The client requests it
// from the masters when it starts. From then on any worker suffices: every
// response of a worker carries its epochs, and the client requests the view from
// a worker whose epochs are newer. An idle client requests the epochs of some
// worker every few seconds. The newest view is stored in a file, so that a
// client can start while no master and no worker is reachable. The client never
// uses the view of another cluster than the topology's, nor an older view.
//
// The view may therefore be some seconds old. A caller that must not act on a
// stale view calls [Client.Current] first.
//
// # Failures
//
// The client tries the worker that owns a name or a range first, then the others
// in the order of the ring: any worker can serve any request. A worker that
// refuses connections or hangs is tried last for a short time; then one request
// is sent to it again. This state is kept separately for names and for ranges,
// because one may hang while the other works. A request for names is also sent
// to the next worker when the previous one has been silent for a while, and the
// first response is used.
//
// Ranges are not retried: [Client.Fetch] makes one attempt and returns the number
// of bytes received. Package reader retries.
package client
