package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// checksumVersion is the first byte of an entry's extensions. The crc32c of
// index, term, type and data follows it.
const checksumVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged reports that data differs from what was written.
var errDamaged = errors.New("checksum mismatch")

func entryChecksum(l *raft.Log) uint32 {
	var head [17]byte
	binary.BigEndian.PutUint64(head[0:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
}

// seal stores the checksum of an entry in its extensions.
func seal(l *raft.Log) {
	extensions := make([]byte, 5)
	extensions[0] = checksumVersion
	binary.BigEndian.PutUint32(extensions[1:], entryChecksum(l))
	l.Extensions = extensions
}

// verify returns an error unless an entry matches the checksum that it carries.
func verify(l *raft.Log) error {
	if len(l.Extensions) != 5 || l.Extensions[0] != checksumVersion {
		return fmt.Errorf("log entry %d has no checksum: %w", l.Index, errDamaged)
	}
	if binary.BigEndian.Uint32(l.Extensions[1:]) != entryChecksum(l) && !mutantIgnoreEntrySum {
		return fmt.Errorf("log entry %d: %w", l.Index, errDamaged)
	}
	return nil
}

// sealValue and openValue add and verify the checksum of a value that Raft
// keeps beside the log: the term or the vote.
func sealValue(key, value []byte) []byte {
	out := append(make([]byte, 0, len(value)+4), value...)
	return binary.BigEndian.AppendUint32(out, valueChecksum(key, value))
}

func openValue(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, fmt.Errorf("%s of this member: %w", key, errDamaged)
	}
	value := sealed[:len(sealed)-4]
	if binary.BigEndian.Uint32(sealed[len(value):]) != valueChecksum(key, value) {
		return nil, fmt.Errorf("%s of this member: %w", key, errDamaged)
	}
	return value, nil
}

func valueChecksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}
