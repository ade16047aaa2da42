//go:build linux

package fusefs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

const (
	tableName = "table.nodes"
	// damagedName is the name of the last file that was set aside.
	damagedName  = tableName + ".damaged"
	tableMagic   = "JINDONOD"
	tableVersion = 2
	// featureModes is set once nodes record the mode of their open handles.
	featureModes = 1
	// featureImmutable is set if the mount has the immutable profile.
	featureImmutable = 2
	// knownFeatures are the bits of the features that this version supports. A
	// version that uses a reserved field sets a bit.
	knownFeatures = featureModes | featureImmutable

	headerSize   = 8 + 4 + 16 + 8 + 8 + 8 + 4
	headerCopyAt = 4096
)

// fileHeader identifies the mount of a table. Of its fields only features change.
type fileHeader struct {
	version  uint32
	session  [16]byte
	features uint64
	created  time.Time
	// seed is the seed of the hash of a path.
	seed uint64
}

func (h fileHeader) encode() []byte {
	b := append(make([]byte, 0, headerSize), tableMagic...)
	b = binary.LittleEndian.AppendUint32(b, h.version)
	b = append(b, h.session[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.features)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.created.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, h.seed)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader decodes a header of any version.
func decodeHeader(b []byte) (fileHeader, bool) {
	if len(b) < headerSize || string(b[:8]) != tableMagic ||
		crc32.Checksum(b[:headerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[headerSize-4:]) {
		return fileHeader{}, false
	}
	return fileHeader{
		version: binary.LittleEndian.Uint32(b[8:]), session: [16]byte(b[12:28]),
		features: binary.LittleEndian.Uint64(b[28:]), created: time.Unix(0, int64(binary.LittleEndian.Uint64(b[36:]))),
		seed: binary.LittleEndian.Uint64(b[44:]),
	}, true
}

// readHeader returns the header of a file, or its copy when it is damaged.
func readHeader(file *os.File) (fileHeader, bool, error) {
	b := make([]byte, headerCopyAt+headerSize)
	n, err := file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fileHeader{}, false, fmt.Errorf("read the node table: %w", err)
	}
	if h, ok := decodeHeader(b[:n]); ok {
		return h, true, nil
	}
	h, ok := decodeHeader(b[min(n, headerCopyAt):n])
	return h, ok, nil
}

// lockTimeout is the time for which a server waits for the end of its predecessor.
var lockTimeout = 10 * time.Second

// errLocked is returned for a table that another process has open.
var errLocked = errors.New("another FUSE server is still using it; end that process")

// lock locks a file for this process. Two processes that changed one table would
// destroy it. The kernel releases the lock at the end of a process, which may be
// some time after its connections are closed.
func lock(file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("lock the node table: %w", err)
	}
	for end := time.Now().Add(lockTimeout); ; <-time.After(time.Millisecond) {
		controlErr := raw.Control(func(fd uintptr) { err = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
		switch {
		case controlErr != nil:
			return fmt.Errorf("lock the node table: %w", controlErr)
		case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOLCK):
			// Without locks, the holder of the mount admits one server at a time.
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock the node table: %w", err)
		case time.Now().After(end):
			return fmt.Errorf("lock the node table %s: %w", file.Name(), errLocked)
		}
	}
}

// errNewer is returned for a table that a newer version wrote.
var errNewer = errors.New("it was written by a newer version of jindo-fuse, which may have recorded state that this version does not know; " +
	"start that version or a later one. Nothing was changed")

// createArena creates a file without records. The file must be published.
func createArena(path string, h fileHeader) (*arena, *atomicfile.File, error) {
	file, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("create the node table: %w", err)
	}
	a, err := initArena(file.File, h)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("create the node table: %w", err), file.Close())
	}
	return a, file, nil
}

func initArena(file *os.File, h fileHeader) (*arena, error) {
	if err := lock(file); err != nil {
		return nil, err
	}
	if err := fallocate(file, 0, 0, prologueSize); err != nil {
		return nil, err
	}
	prologue, err := mapFile(file, 0, prologueSize)
	if err != nil {
		return nil, err
	}
	copy(prologue, h.encode())
	copy(prologue[headerCopyAt:], h.encode())
	first := root{buckets: minBuckets}.encode()
	copy(prologue[rootAt:], first[:])
	return &arena{file: file, prologue: prologue}, nil
}

// openArena maps the file of a predecessor. complete is false if a part of the
// file is missing or damaged.
func openArena(file *os.File) (a *arena, r root, complete bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, root{}, false, fmt.Errorf("open the node table: %w", err)
	}
	if info.Size() < prologueSize {
		return nil, root{}, false, errTruncated
	}
	prologue, err := mapFile(file, 0, prologueSize)
	if err != nil {
		return nil, root{}, false, err
	}
	a = &arena{file: file, prologue: prologue}
	// The root may be that of an open transaction, or half written.
	chunks := int((info.Size() - prologueSize + chunkSize - 1) / chunkSize)
	if r, ok := decodeRoot(a.at(rootAt, rootSize)); ok && r.chunks <= maxChunks {
		chunks = max(chunks, int(r.chunks))
	}
	if err := a.mapChunks(chunks, info.Size()); err != nil {
		return nil, root{}, false, errors.Join(err, a.close())
	}
	complete = a.rollback() == nil
	r, ok := decodeRoot(a.at(rootAt, rootSize))
	if !ok || int(r.chunks) > chunks || r.buckets < minBuckets || int(r.buckets) > max(minBuckets, int(r.chunks)*chunkBuckets) {
		a.findHoles()
		return a, root{chunks: uint32(chunks), buckets: minBuckets}, false, nil
	}
	if err := a.dropChunks(int(r.chunks)); err != nil {
		return nil, root{}, false, errors.Join(err, a.close())
	}
	a.findHoles()
	complete = complete && r.missing == 0 && info.Size() >= prologueSize+int64(r.chunks)*chunkSize
	return a, r, complete, nil
}

// maxChunks bounds the chunks of a file: 64 GiB.
const maxChunks = 1 << 16

// mapChunks maps the chunks of a file of the given size. The end of a truncated
// file is filled with zeros, so that only the records that were there are lost.
func (a *arena) mapChunks(chunks int, size int64) error {
	for i := range chunks {
		if size < prologueSize+int64(i+1)*chunkSize {
			if err := a.allocate(i); err != nil {
				return err
			}
		}
		chunk, err := a.mapChunk(i)
		if err != nil {
			return err
		}
		a.chunks, a.backed = append(a.chunks, chunk), i+1
	}
	return nil
}

// errTruncated is returned for a file without a complete prologue.
var errTruncated = errors.New("the file of the node table is truncated")

// dropChunks removes the chunks that a predecessor has added but not used.
func (a *arena) dropChunks(n int) error {
	for len(a.chunks) > n {
		last := len(a.chunks) - 1
		if err := unmap(a.chunks[last]); err != nil {
			return err
		}
		a.chunks, a.backed = a.chunks[:last], last
	}
	if err := a.file.Truncate(a.size()); err != nil {
		return fmt.Errorf("open the node table: %w", err)
	}
	return nil
}
