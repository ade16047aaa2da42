// Package reader gets names and bytes to a mount by the ladder: the sealed file
// of a worker on this host, the owner, a previous owner, any worker, and the
// store itself where this process holds credentials. A failure of the cache
// moves a read to the next rung; only the last rung can fail it.
//
// # What it promises
//
//   - A [File] reads the bytes of one version, or fails: every rung is asked for
//     that version, and what it sends is checked against range, size and tag
//     before a byte is used.
//   - [ErrStale] means that the store said so, to this process or to a worker.
//     Nothing else makes a version gone: not a worker that is lost, not another
//     server's 404, not a bucket that is gone as a whole.
//   - A rung that breaks off is made up for by the next from where it came to.
//   - Bytes that stall are nobody's failure for as long as Config.ReadTimeout
//     lasts: the ladder is climbed again and again, each round with more
//     patience. The error at the end says what every rung said.
//   - [ErrPermission] ends a read after one round in which nobody had the bytes
//     and somebody was refused by the store.
//
// # Reading ahead
//
// A handle notices up to four places where it is read sequentially, and asks
// for a window ahead of each, in parallel ranges, that doubles as long as the
// reader keeps up, starting with [Config.FirstWindow] at the start of a file.
// Reads elsewhere ask for exactly their bytes. Bytes on their way are waited
// for, never asked for again, and can be read as they come. All that is read
// ahead shares one budget: what does not fit is not read ahead, and handles that
// nobody reads give theirs to those that are read.
//
// Locks: File.mu before Reader.mu before, with TryLock only, another File's mu.
package reader
