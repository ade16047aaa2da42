// Package reader reads names and bytes for a mount. It tries a ladder of sources
// in order: the sealed file of a worker on this host, the owner, a previous
// owner, any other worker, and the store itself where this process holds
// credentials. Each source is a rung of the ladder. A failure of the cache moves
// a read to the next rung; only the failure of the last rung can fail it.
//
// # Guarantees
//
//   - A [File] reads the bytes of one version, or fails: every request names that
//     version, and every response is checked against range, size and tag before
//     a byte is used.
//   - [ErrStale] is returned only when the store reported, to this process or to
//     a worker, that the version does not exist any more; never because of a lost
//     worker, a 404 of another server, or a bucket that does not exist.
//   - When a rung fails midway, the next rung continues at that offset.
//   - While bytes stall, the ladder is tried again until Config.ReadTimeout, in
//     rounds with increasing timeouts. The final error lists the last error of
//     every rung.
//   - [ErrPermission] ends a read after one round in which no rung had the bytes
//     and the store refused at least one.
//
// # Reading ahead
//
// The open files of a version share their read-ahead ([shared]), in which up to 32
// sequential streams and 8 series of equal reads at equal distances are detected.
// For a stream, four times as many bytes as were read of it are requested, in
// parallel ranges, up to [Config.MaxWindow]. At the start of a file, the first read
// requests little more than its bytes, the second one [Config.FirstWindow]. A stream
// does not read ahead into what another one has read. Other reads request exactly their
// bytes. In every pattern, the bytes that are requested in vain are at most 16 MiB and
// half of those that were read in sequence.
//
// A read waits for bytes that are already requested instead of requesting them
// again, and can use them as they arrive. All read-ahead shares one memory budget:
// what does not fit is not read ahead, and idle versions release theirs to active
// ones.
//
// Lock order: shared.mu, then Reader.mu, then, with TryLock only, the mu of another
// shared.
package reader
