// Package blockstore keeps the bytes of object versions on local disks, as a
// cache: everything in it can be fetched again, nothing in it is ever wrong.
//
// # Sealed sparse files
//
// A version, named by [Key], is one sparse file at the object's own offsets,
// <tier>/aa/<hash>.data, and a sidecar <hash>.meta beside it: magic, format
// version, the whole key and block size under one checksum, then one slot a
// block. A slot holds the block's crc32c and a check over it, its number and
// the header, so the bitmap of blocks is the set of slots that verify: a torn
// or misplaced slot is a block that is not there, never a wrong one. A block's
// slot is written after the block was written and fdatasynced.
//
// Once every block is there and the file was read back against its checksums,
// the version is sealed: it never changes again and leaves by unlink only, so
// that a file descriptor of it can be lent ([Store.Lend]).
//
// # Promises
//
//   - A byte that a [Reader] gives out came from the fetch that its caller
//     supplied, complete and of the right length, or from a file block whose
//     checksum was verified in the life of this process. A block that fails is
//     discarded with its whole version and fetched again.
//   - One download a block, however many ask: see flight.go.
//   - The disk never fails a read. A tier that is full, failing, read-only or
//     hung takes nothing new, says why ([Store.Stats]) and is tried again;
//     what it cannot give is fetched.
//   - The disk never slows a read by writing: blocks are served from memory,
//     and written behind within a budget. When that is used up, blocks are
//     not cached.
//   - Quota is reserved before a download. Bytes of files that were unlinked
//     while a reader or a borrower holds them stay charged until given back.
//
// # Eviction
//
// S3-FIFO over whole versions, by bytes: once the tier is full, new versions
// enter a small queue (a tenth of it) and only those read again later reach the
// main one, so a scan passes through the small queue and a loop larger than the
// tier keeps what the main queue has. Every fourth eviction is from the main
// queue, so that it follows what is read now. Reads within a minute count as one, because a
// sequential read of one file is many requests. Versions that were replaced
// and copies held for another worker go first, and by themselves after a
// while. Above the high watermark the tier is evicted down to the low one.
//
// # Locks
//
// Store.mu guards all state in memory; no input or output happens under it.
// It may be taken while no other lock of this package is held.
package blockstore
