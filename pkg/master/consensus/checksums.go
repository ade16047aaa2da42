package consensus

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc64"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Checksums reads entries of the log from disk, verifies each, and returns one
// checksum of all. Members whose logs have the same entries return the same. first
// and last are 0 for the bounds of what this member has and has applied; what it does
// not have is left out. A damaged entry is an error.
func (n *Node) Checksums(ctx context.Context, first, last uint64) (*masterv1.ChecksumsResponse, error) {
	first = max(first, n.store.first.Load())
	applied := n.fsm.applied.get()
	if last == 0 || last > applied {
		last = applied
	}
	last = min(last, n.store.last.Load())
	response := &masterv1.ChecksumsResponse{Name: n.config.Name, MemberId: string(n.id)}
	if first == 0 || first > last {
		return response, nil
	}
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	for index := first; index <= last; index++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		var entry raft.Log
		if err := readEntry(n.store.disk, index, &entry); err != nil {
			if absent(err) {
				return nil, fmt.Errorf("entry %d was removed from the log meanwhile, because a snapshot has it: try again", index)
			}
			return nil, fmt.Errorf("read the log: %w", err)
		}
		addEntry(sum, &entry)
	}
	response.First, response.Last, response.Checksum = first, last, fmt.Sprintf("%016x", sum.Sum64())
	return response, nil
}

// addEntry adds the contents of an entry to a checksum.
func addEntry(sum hash.Hash, l *raft.Log) {
	head := binary.BigEndian.AppendUint64(nil, l.Index)
	head = binary.BigEndian.AppendUint64(head, l.Term)
	head = binary.BigEndian.AppendUint64(append(head, byte(l.Type)), uint64(len(l.Data)))
	_, _ = sum.Write(head) // a hash returns no error
	_, _ = sum.Write(l.Data)
}
