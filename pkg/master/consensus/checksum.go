package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// checksumVersion is the first byte of an entry's extensions; the crc32c of
// index, term, type and data follows it.
const checksumVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that bytes are not what was written.
var errDamaged = errors.New("it is damaged: its checksum does not match")

func entryChecksum(l *raft.Log) uint32 {
	var head [17]byte
	binary.BigEndian.PutUint64(head[0:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
}

// seal gives an entry its checksum.
func seal(l *raft.Log) {
	extensions := make([]byte, 5)
	extensions[0] = checksumVersion
	binary.BigEndian.PutUint32(extensions[1:], entryChecksum(l))
	l.Extensions = extensions
}

// verify checks an entry against the checksum that it carries.
func verify(l *raft.Log) error {
	if len(l.Extensions) != 5 || l.Extensions[0] != checksumVersion {
		return fmt.Errorf("entry %d of the log carries no checksum: %w", l.Index, errDamaged)
	}
	if binary.BigEndian.Uint32(l.Extensions[1:]) != entryChecksum(l) {
		return fmt.Errorf("entry %d of the log: %w", l.Index, errDamaged)
	}
	return nil
}

// sealValue and openValue do the same for what Raft keeps beside the log: its
// term and its vote.
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
