// Package server provides the worker: it serves the bytes and names of the
// mounted stores from its cache, and fetches what is not cached.
//
// # One port
//
// Bytes are served by ranged GETs over HTTPS under /v1/objects/, as an object
// store does, so that a reader can treat a worker like a store and curl can
// debug it. Names and everything else are gRPC on the same port. The table in
// rights.go lists the roles that may make each call.
//
// # Ownership
//
// The ring determines which worker owns a version or a directory. A worker
// serves all of them, because readers use it when an owner cannot be reached;
// it keeps what it fetches for another owner for a short time only. A new owner
// requests a version from the workers that owned it under previous rings before
// it reads the store. Every response carries the epochs, so that a reader with a
// stale ring notices.
//
// # Guarantees
//
//   - Every byte is of the requested version: the store is read with If-Match,
//     and a response whose entity tag or size differs is an error. When the store
//     returns 412 or 404, the response is stale or not_found, and the name is
//     dropped from its listing.
//   - The worker needs no master to start or to serve: the view, its id and the
//     cluster id are on its disk. It does not start for another cluster than the
//     one on its disk.
//   - A failure of the cache's disk does not fail a read.
//   - Memory and the number of requests are bounded; the connection of a reader
//     that is too slow is closed.
package server
