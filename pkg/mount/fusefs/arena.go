//go:build linux

package fusefs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layout of the table's file, format 2. Numbers are little endian.
//
//	page 0     header: magic, format, session, features, time of creation, hash
//	           seed, CRC32C; its layout is the same in every later format
//	page 1     copy of the header
//	page 2     length of the undo log; root: counters, CRC32C
//	from there the undo log, up to prologueSize
//	then       chunks of chunkSize: buckets of the two indexes, then slots
//
// The file is mapped and changed in place. It need not survive the machine,
// because the mount does not either: what a killed process has stored in shared
// memory stays in the page cache, so that no call of msync or write is needed.
const (
	slotSize = 64
	// chunkSlots is the number of slots of a chunk. The first bucketSlots of them
	// hold buckets: 4 bytes for each of chunkBuckets buckets in each index.
	chunkSlots   = 1 << 14
	chunkSize    = chunkSlots * slotSize
	bucketSlots  = chunkSlots / 16
	chunkBuckets = bucketSlots * slotSize / 8
	// prologueSize is a multiple of every page size.
	prologueSize = 256 << 10

	undoLengthAt = 8192
	rootAt       = undoLengthAt + 64
	undoAt       = 12288
	undoSize     = prologueSize - undoAt
	// undoHead is the size of the header of an entry of the undo log in bytes:
	// address, length, CRC32C of these and the data.
	undoHead = 16
	// undoLimit is the length of the undo log after which a long change is split
	// into several transactions. The remainder is more than one step needs.
	undoLimit = undoSize / 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// arena is a mapped file of slots. Changes are made in transactions: the bytes
// that put overwrites are saved in the undo log first, and the next process
// restores them when this one is killed before the end of the transaction. A
// transaction is committed by one atomic store. It must be used by one goroutine
// at a time.
type arena struct {
	file     *os.File
	prologue []byte
	chunks   [][]byte
	// backed is the number of chunks that are in the file. The others are in the
	// memory of this process, because the file could not be extended.
	backed int
	// holes is set for chunks whose space was given back to the file system. They
	// have no records, and must not be accessed: on a full tmpfs even a load from a
	// hole faults. unreserved is set for these and for the chunks of a predecessor,
	// which must be reserved before new records are stored there.
	holes, unreserved []bool
	// undo is the length of the undo log.
	undo uint32
	// onStore, unless nil, replaces the copying of bytes into the mapping, so that
	// a test can stop in the middle.
	onStore func(to, from []byte)
}

// store copies bytes into the mapping.
func (a *arena) store(to, from []byte) {
	if a.onStore != nil {
		a.onStore(to, bytes.Clone(from))
		return
	}
	copy(to, from)
}

// at returns n bytes at an address, which is an offset of the file.
func (a *arena) at(address uint64, n int) []byte {
	if address < prologueSize {
		return a.prologue[address : address+uint64(n)]
	}
	address -= prologueSize
	chunk, offset := address/chunkSize, address%chunkSize
	return a.chunks[chunk][offset : offset+uint64(n)]
}

// addressOf returns the address of a slot.
func addressOf(slot uint32) uint64 { return prologueSize + uint64(slot)*slotSize }

// slot returns the bytes of a slot.
func (a *arena) slot(slot uint32) []byte {
	offset := slot % chunkSlots * slotSize
	return a.chunks[slot/chunkSlots][offset : offset+slotSize : offset+slotSize]
}

// holds reports whether a number is that of a slot that may hold a record.
func (a *arena) holds(slot uint32) bool {
	chunk := int(slot / chunkSlots)
	return slot%chunkSlots >= bucketSlots && chunk < len(a.chunks) && !a.isHole(chunk)
}

// begin starts a transaction. It rolls back one that a panic has left open.
func (a *arena) begin() {
	if a.undo != 0 {
		_ = a.rollback()
	}
}

// commit ends a transaction.
func (a *arena) commit() { a.setUndo(0) }

func (a *arena) setUndo(n uint32) {
	a.undo = n
	a.undoLength().Store(n)
}

func (a *arena) undoLength() *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&a.prologue[undoLengthAt]))
}

// put replaces bytes within a transaction.
//
// Invariant: the entry of the undo log is complete, and counted by the atomic
// store of its length, before the bytes change.
func (a *arena) put(address uint64, data []byte) {
	now := a.at(address, len(data))
	if !mutantNoUndo {
		a.remember(address, now)
	}
	a.store(now, data)
}

func (a *arena) put32(address uint64, value uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], value)
	a.put(address, b[:])
}

// remember appends an entry to the undo log. Callers split long changes at
// undoLimit, so that there is room.
func (a *arena) remember(address uint64, now []byte) {
	size := undoHead + (len(now)+7)&^7
	if int(a.undo)+size > undoSize {
		panic(fmt.Sprintf("a change of the node table exceeds %d bytes", undoSize))
	}
	entry := a.prologue[undoAt+a.undo:][:size]
	binary.LittleEndian.PutUint64(entry, address)
	binary.LittleEndian.PutUint32(entry[8:], uint32(len(now)))
	clear(entry[undoHead+copy(entry[undoHead:], now):])
	binary.LittleEndian.PutUint32(entry[12:], undoSum(entry))
	a.setUndo(a.undo + uint32(size))
}

// undoSum returns the checksum of an entry.
func undoSum(entry []byte) uint32 {
	return crc32.Update(crc32.Checksum(entry[:12], castagnoli), castagnoli, entry[undoHead:])
}

// errUndo means that the undo log is damaged.
var errUndo = errors.New("the undo log is damaged")

// rollback restores the state before the transaction that the undo log belongs
// to. It may be repeated after a crash. When the log is damaged it restores what
// it can.
func (a *arena) rollback() error {
	entries, err := a.undoEntries()
	for _, entry := range slices.Backward(entries) {
		n := int(binary.LittleEndian.Uint32(entry[8:]))
		a.store(a.at(binary.LittleEndian.Uint64(entry), n), entry[undoHead:undoHead+n])
	}
	a.setUndo(0)
	return err
}

func (a *arena) undoEntries() (entries [][]byte, err error) {
	length := a.undoLength().Load()
	if length > undoSize {
		return nil, errUndo
	}
	log := a.prologue[undoAt : undoAt+length]
	for len(log) > 0 {
		if len(log) < undoHead {
			return entries, errUndo
		}
		n := binary.LittleEndian.Uint32(log[8:])
		if n > slotSize || int(undoHead+(n+7)&^7) > len(log) {
			return entries, errUndo
		}
		entry := log[:undoHead+(n+7)&^7]
		if undoSum(entry) != binary.LittleEndian.Uint32(entry[12:]) || !a.contains(binary.LittleEndian.Uint64(entry), n) {
			return entries, errUndo
		}
		entries, log = append(entries, entry), log[len(entry):]
	}
	return entries, nil
}

// contains reports whether n bytes at an address are mapped.
func (a *arena) contains(address uint64, n uint32) bool {
	if address < prologueSize {
		return address+uint64(n) <= prologueSize
	}
	address -= prologueSize
	return address/chunkSize < uint64(len(a.chunks)) && address%chunkSize+uint64(n) <= chunkSize
}

// grow adds one chunk. When the file cannot be extended, the chunk is in the
// memory of this process, and the error says why.
func (a *arena) grow() error {
	chunk, err := a.fileChunk()
	if err != nil {
		a.chunks = append(a.chunks, make([]byte, chunkSize))
		return err
	}
	a.chunks = append(a.chunks, chunk)
	a.backed++
	return nil
}

// fileChunk extends the file by a chunk of zeros. All chunks before it must be in
// the file.
func (a *arena) fileChunk() ([]byte, error) {
	if a.backed < len(a.chunks) {
		return nil, errors.New("an earlier part could not be written")
	}
	if err := a.allocate(a.backed); err != nil {
		return nil, err
	}
	return a.mapChunk(a.backed)
}

// allocate reserves the space of a chunk, so that no store fails for want of it.
func (a *arena) allocate(chunk int) error {
	if err := fallocate(a.file, 0, prologueSize+int64(chunk)*chunkSize, chunkSize); err != nil {
		return fmt.Errorf("extend the node table: %w", err)
	}
	return nil
}

// fallocate is unix.Fallocate. On a file system without it, the range is filled
// with zeros, for which it must not hold data.
func fallocate(file *os.File, mode uint32, offset, size int64) error {
	var err error
	raw, rawErr := file.SyscallConn()
	if rawErr != nil {
		return rawErr
	}
	if rawErr = raw.Control(func(fd uintptr) { err = unix.Fallocate(int(fd), mode, offset, size) }); rawErr != nil {
		return rawErr
	}
	if mode == 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)) {
		_, err = file.WriteAt(make([]byte, size), offset)
	}
	return err
}

// mapChunk maps a chunk of the file.
func (a *arena) mapChunk(chunk int) ([]byte, error) {
	return mapFile(a.file, prologueSize+int64(chunk)*chunkSize, chunkSize)
}

func mapFile(file *os.File, offset int64, size int) (memory []byte, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		memory, err = unix.Mmap(int(fd), offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	})
	if err = errors.Join(controlErr, err); err != nil {
		return nil, fmt.Errorf("map the node table: %w", err)
	}
	return memory, nil
}

// save moves the chunks that are in the memory of this process to the file.
func (a *arena) save() error {
	for a.backed < len(a.chunks) {
		if err := a.allocate(a.backed); err != nil {
			return err
		}
		chunk, err := a.mapChunk(a.backed)
		if err != nil {
			return err
		}
		copy(chunk, a.chunks[a.backed])
		a.chunks[a.backed] = chunk
		a.backed++
	}
	return nil
}

// size returns the size of the arena in bytes.
func (a *arena) size() int64 { return prologueSize + int64(len(a.chunks))*chunkSize }

func (a *arena) close() error {
	err := unmap(a.prologue)
	for _, chunk := range a.chunks[:a.backed] {
		err = errors.Join(err, unmap(chunk))
	}
	a.prologue, a.chunks, a.backed = nil, nil, 0
	return errors.Join(err, a.file.Close())
}

func unmap(memory []byte) error {
	if err := unix.Munmap(memory); err != nil {
		return fmt.Errorf("unmap the node table: %w", err)
	}
	return nil
}
