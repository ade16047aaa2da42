//go:build linux

package fusefs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

const (
	journalName    = "table.journal"
	journalMagic   = "JINDOTAB"
	journalVersion = 1
	// journalHead is the size of the header in bytes: magic, version, session,
	// time of creation, CRC32C of these.
	journalHead = 8 + 4 + 16 + 8 + 4
)

// journal is the append-only file of records. The caller must hold the table's
// lock.
type journal struct {
	path    string
	file    *os.File
	size    int64
	session [16]byte
	created time.Time
	buffer  []byte
}

// loadJournal calls each for every record in the journal of the same session, and
// returns the time at which the mount was created. The time is zero when there is
// no journal of this session. A torn record ends the journal: the reply to its
// request was never written.
func loadJournal(dir string, session [16]byte, each func(unique uint64, ops []op)) (created time.Time, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read journal: %w", err)
	}
	created, rest, ok := checkJournalHead(raw, session)
	if !ok {
		return time.Time{}, nil
	}
	for len(rest) > 0 {
		unique, ops, next, err := nextRecord(rest)
		if errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("read journal: %w", err)
		}
		each(unique, ops)
		rest = next
	}
	return created, nil
}

// checkJournalHead returns the time of creation and the encoded records of a
// journal. ok is false when the header is damaged or of another session.
func checkJournalHead(raw []byte, session [16]byte) (created time.Time, rest []byte, ok bool) {
	if len(raw) < journalHead || string(raw[:8]) != journalMagic ||
		binary.LittleEndian.Uint32(raw[8:]) != journalVersion ||
		crc32.Checksum(raw[:journalHead-4], castagnoli) != binary.LittleEndian.Uint32(raw[journalHead-4:]) ||
		!bytes.Equal(raw[12:28], session[:]) {
		return time.Time{}, nil, false
	}
	nanos := int64(binary.LittleEndian.Uint64(raw[28:]))
	return time.Unix(0, nanos), raw[journalHead:], true
}

func (j *journal) head() []byte {
	b := make([]byte, 0, journalHead)
	b = append(b, journalMagic...)
	b = binary.LittleEndian.AppendUint32(b, journalVersion)
	b = append(b, j.session[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(j.created.UnixNano()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// rewrite atomically replaces the file by one with the given snapshot: a server
// killed during rewrite leaves the old file.
func (j *journal) rewrite(snapshot func(emit func(ops ...op) error) error) error {
	replacement, err := atomicfile.Create(j.path, 0o600)
	if err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	size, err := j.writeAll(replacement.File, snapshot)
	if err == nil {
		err = replacement.Publish()
	}
	if err != nil {
		_ = replacement.Close()
		return fmt.Errorf("compact journal: %w", err)
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size = replacement.File, size
	return nil
}

func (j *journal) writeAll(file *os.File, snapshot func(emit func(ops ...op) error) error) (int64, error) {
	b, size := j.head(), int64(0)
	flush := func() error {
		n, err := file.Write(b)
		size, b = size+int64(n), b[:0]
		return err
	}
	err := snapshot(func(ops ...op) error {
		b = appendRecord(b, 0, ops)
		if len(b) < 1<<20 {
			return nil
		}
		return flush()
	})
	if err != nil {
		return 0, err
	}
	return size, flush()
}

// append writes one record. When it fails, the file is unchanged.
func (j *journal) append(unique uint64, ops []op) error {
	j.buffer = appendRecord(j.buffer[:0], unique, ops)
	n, err := j.file.Write(j.buffer)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, j.file.Truncate(j.size))
			_, seekErr := j.file.Seek(j.size, 0)
			err = errors.Join(err, seekErr)
		}
		return fmt.Errorf("write journal: %w", err)
	}
	j.size += int64(n)
	return nil
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
