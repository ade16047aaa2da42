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
// Once all blocks are present and verified, the version is sealed: it never changes
// again and is removed by unlink only, so that a descriptor of the file can be lent
// to another process ([Store.Lend]). A block is verified if this process computed
// its checksum from the bytes in memory that it wrote, completely and without an
// error of the fdatasync, or from bytes that it read from the file. So a version
// that was fetched by one process is sealed by the write of its last slots, and
// blocks kept over a restart are read back first.
//
// A version that fits into one batch of a writer is written whole: data, fdatasync,
// then header, seal and slots in one write of a new sidecar. The files of one round
// of a writer share a commit of the file system's journal.
//
// # Guarantees
//
//   - A byte that a [Reader] returns came from the fetch that its caller
//     supplied, in a complete block of the right length, or from a block on disk
//     whose checksum this process has verified. A block that fails verification
//     is discarded with its whole version and fetched again.
//   - Sealed files are read against their checksums once a week: see scrub.go.
//   - A block is downloaded once, however many readers request it: see flight.go.
//   - The disk never fails a read. A tier that is full, failing, read-only or
//     hung stores nothing new, reports why ([Store.Stats]) and is retried;
//     blocks that it cannot return are fetched.
//   - Writing to the disk never delays a read: blocks are served from memory and
//     written in the background within a budget. When the budget is used up,
//     blocks are not cached.
//   - Tiers share nothing but the memory, of which each has a bounded part: one
//     that hangs or fails holds up neither what is on the others nor what is new.
//   - A version that is moved between tiers is readable at all times, by those who
//     have it open and by others: see move.go.
//   - Memory is granted one block at a time. No set of readers waits for one
//     another's memory, and downloads of one mount leave memory for those of
//     others: see memory.go. Blocks on disk are read without it.
//   - Quota is reserved before a block is downloaded. Bytes of files that were
//     unlinked while a reader or a borrower has them open stay charged until the
//     file is closed.
//   - A version whose only uses are loans that are idle is evicted like one without
//     uses, once the loans, which are recalled, have been returned: see recall.go.
//
// # Levels
//
// The directories of one medium are a level; memory is faster than SSD, and SSD than
// HDD. A new version is placed in the fastest level that has room for all of it below
// its low watermark, otherwise in the slowest, so that a scan fills what is free in the
// faster ones and displaces nothing there. A version that is read again moves to the
// next faster level if that has room or if it is hotter than the coldest idle versions
// there, which move to the next slower level or, if that does not admit them, are
// evicted. A level above its high watermark moves versions down until it is at the low
// one. Sealed versions move, whole, one at a time for each tier, within
// [Config.MoveRate] and at most half of the time of a busy disk: see heat.go.
//
// # Eviction
//
// What follows applies to the slowest level, and to a level whose slower ones fail.
//
// Eviction is segmented LRU over whole versions, weighted by bytes, and finds a
// victim in constant time. New versions are on probation, and those read again
// are protected, as are the first ones while the tier has room. Reads within a
// minute count as one, because a sequential read of one file is many requests.
// Among the protected versions those with fewer reads are evicted first; the
// number of reads ages. A version evicted from probation and read again soon, be
// it within the minute, is protected at once if that leaves a quarter of the share to
// probation, or, after the minute, if a protected version was not read for several
// times as long. So epochs larger than the tier, short or long, keep a fixed part of
// it, in any order of reading.
// Versions that were replaced, and copies held for another worker, are evicted
// first, and expire after a while. Versions in use are in no list. Idle loans do not
// count as use.
//
// All versions that are not protected, and a version larger than [Config.Share]
// of the tier until it is complete, may evict protected versions only while they
// take no more than the share together, and those that are protected leave less than
// a quarter of it or are idle. Beyond it they evict one another, and
// blocks for which there is no room are not cached. So neither one object, of
// whatever size, nor a scan evicts more than the share. The rule does not apply
// below the low watermark, nor to protected versions that were not read for a
// day. A tier above its high watermark is evicted down to the low one, or as far as
// that takes no protected version once it is below the high one.
//
// # Locks
//
// Store.mu guards all state in memory. No I/O happens while it is held, and it
// may be acquired only while no other lock of this package is held. Operations
// on a disk that a reader waits for have a timeout; the writers, the sealer, the
// janitor, the mover and the scan at the start are goroutines of one tier. The mover's
// operations have the timeout, too, because it uses the disks of two tiers.
package blockstore
