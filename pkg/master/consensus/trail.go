package consensus

import (
	"github.com/hashicorp/raft"
)

// minTrail is the number of entries that the library itself keeps behind a
// snapshot. It is not 0, so that a compaction never deletes the last entry, and
// is thereby distinguished from the deletion of a suffix that conflicts with
// the leader's log, which always does.
const minTrail = 1

// boundedTrail decides how much of the log remains behind a snapshot, for
// followers that are behind: entries, and bytes of them, at most. The library
// counts entries only, and 10,240 of them can have any size.
type boundedTrail struct {
	raft.LogStore
	entries uint64
	bytes   int
}

// DeleteRange implements raft.LogStore. Of a prefix, which the library deletes
// because a snapshot has it, the newest entries are kept.
func (b *boundedTrail) DeleteRange(from, to uint64) error {
	last, err := b.LastIndex()
	if err != nil {
		return err
	}
	if to < last {
		to = b.keep(from, to, last)
		if to < from {
			return nil
		}
	}
	return b.LogStore.DeleteRange(from, to)
}

// keep returns the last index that may be deleted, which is less than from when
// there is none.
func (b *boundedTrail) keep(from, to, last uint64) uint64 {
	kept, size := last-to, 0
	for index := to; index >= from; index-- {
		var entry raft.Log
		if err := b.GetLog(index, &entry); err != nil {
			return index // a gap, behind which nothing is of use
		}
		kept++
		size += len(entry.Data)
		if kept > b.entries || size > b.bytes {
			return index
		}
	}
	return from - 1
}
