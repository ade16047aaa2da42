// Package blockstore caches the bytes of object versions on local disks.
// Everything in it can be fetched again, and it never returns wrong bytes.
//
// # Sealed sparse files
//
// A version, named by [Key], is one sparse file at the object's own offsets,
// <tier>/aa/<hash>.data, with a sidecar <hash>.meta. The sidecar holds a magic
// string, the format version, the whole key and the block size under one
// checksum, then one slot per block. A slot holds the block's crc32c and a
// check over the crc32c, the block number and the header. The bitmap of cached
// blocks is the set of slots that verify, so a torn or misplaced slot is a
// missing block, never a wrong one. The slot of a block is written after the
// block was written and fdatasynced.
//
// Once all blocks are present and the file was read back against its checksums,
// the version is sealed: it never changes again and is removed by unlink only,
// so that a descriptor of the file can be lent to another process
// ([Store.Lend]).
//
// # Guarantees
//
//   - A byte that a [Reader] returns came from the fetch that its caller
//     supplied, in a complete block of the right length, or from a block on disk
//     whose checksum this process has verified. A block that fails verification
//     is discarded with its whole version and fetched again.
//   - A block is downloaded once, however many readers request it: see flight.go.
//   - The disk never fails a read. A tier that is full, failing, read-only or
//     hung stores nothing new, reports why ([Store.Stats]) and is retried;
//     blocks that it cannot return are fetched.
//   - Writing to the disk never delays a read: blocks are served from memory and
//     written in the background within a budget. When the budget is used up,
//     blocks are not cached.
//   - Quota is reserved before a download. Bytes of files that were unlinked
//     while a reader or a borrower has them open stay charged until the file is
//     closed.
//
// # Eviction
//
// Eviction is S3-FIFO over whole versions, weighted by bytes. Once the tier is
// full, new versions enter a small queue (a tenth of the tier) and only those
// read again move to the main queue. A scan therefore passes through the small
// queue, and a loop larger than the tier keeps what the main queue holds. Every
// fourth eviction is from the main queue, so that the queue follows what is read
// now. Reads within a minute count as one, because a sequential read of one
// file is many requests. Versions that were replaced, and copies held for
// another worker, are evicted first, and expire after a while. A tier above its
// high watermark is evicted down to the low one.
//
// # Locks
//
// Store.mu guards all state in memory. No I/O happens while it is held, and it
// may be acquired only while no other lock of this package is held.
package blockstore
