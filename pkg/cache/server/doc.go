// Package server is a worker: it answers for bytes and names of the mounted
// stores out of its cache, and fetches what it does not have.
//
// # One port
//
// Bytes are ranged GETs over HTTPS under /v1/objects/, as a store of objects
// answers them, so that a reader sees one more source and curl can debug it.
// Names and the rest are gRPC, on the same port. Who may call what is one
// table, rights.go.
//
// # Owners and stand-ins
//
// The ring says which worker owns a version or a directory; this worker
// answers for all of them, because readers come here when an owner cannot be
// reached. What it fetches for another owner it keeps for a short while only.
// A new owner asks those that owned a version under previous rings before it
// asks the store. Every answer carries the epochs, so that a reader with an
// old ring notices.
//
// # Promises
//
//   - Every byte is of the version asked for: the store is asked with
//     If-Match, and answers whose tag or size differ are refused. A store that
//     says 412 or 404 makes the answer stale or not_found, and the name is
//     dropped from the listing it came from.
//   - The worker needs no master to start or to serve: view, id and cluster
//     are on its disk. It refuses to serve another cluster than its disk's.
//   - Failures of the cache's disk are not failures of reads.
//   - Memory and requests are bounded; a reader that is too slow is cut off.
package server
