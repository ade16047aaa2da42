//go:build linux

package fusefd

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Layout of the memory file, version 2, in the byte order of the machine, which
// the file never leaves:
//
//	page 0: magic, version, count, session, largest id, lengths of INIT and
//	        of its reply, numbers of parked slots and of backings, then INIT
//	        and its reply
//	then for each slot: a page of control, the request, the reply
//	then for each parked slot: a page of control and the request, the reply
//	then the registered backings, see registry; none in files of older holders
//
// Version 1 has no parked slots. A server of version 1 must not serve a file of
// version 2, because it would never reply to parked requests.
//
// The file is sparse: pages that are never written use no memory.
const (
	slotsMagic   = "JINDOSLT"
	slotsVersion = 2

	page = 4096
	// maxPayload is the largest payload of one request, in bytes, without its
	// headers.
	maxPayload = 1 << 20
	// requestArea and replyArea are sizes within a slot. Only small replies are
	// kept in a slot; the reply of a read is not, since a read can be repeated.
	requestArea = maxPayload + page
	replyArea   = 16 * page
	slotArea    = page + requestArea + replyArea
	// parkedRequest is the offset of the request in a parked slot. It has room
	// for every request that reads.
	parkedRequest = 64
	parkedArea    = page + replyArea

	offVersion       = 8
	offCount         = 12
	offSession       = 16
	offLastID        = 32
	offRequestLength = 40
	offReplyLength   = 44
	// offGeneration holds 0 in files of holders that do not record it.
	offGeneration = 48
	offParked     = 56
	// offBackings holds 0 in files of holders that register no backings.
	offBackings = 60
	offInitAt   = 64
	initArea    = 1024
	offReplyAt  = offInitAt + initArea

	offDeaths = 0
	offReply  = 4
	// offSurvivals holds 0 in slots of servers that do not record it.
	offSurvivals = 8

	maxSlots  = 4096
	maxParked = 65536
	// inHeaderSize is the size of the header of every request (struct
	// fuse_in_header), in bytes.
	inHeaderSize = 40
)

// ErrSlots is returned for a memory file that is not a slots file, or of another
// version.
var ErrSlots = errors.New("not a slots file")

// Slots is the memory that a holder and its servers share. Each Slot must be used
// by one goroutine at a time; the other methods, except Close, are safe for
// concurrent use.
type Slots struct {
	file   *os.File
	memory []byte
	count  int
	parked int
	// backings is the number of entries for registered backings.
	backings int
}

// NewSlots creates a file of count empty slots and a number of parked ones, with a
// new session.
func NewSlots(count, parked int) (*Slots, error) {
	if count < 1 || count > maxSlots {
		return nil, fmt.Errorf("create slots: invalid count %d: must be 1 to %d", count, maxSlots)
	}
	if parked < 0 || parked > maxParked {
		return nil, fmt.Errorf("create slots: invalid number of parked slots %d: must be 0 to %d", parked, maxParked)
	}
	fd, err := unix.MemfdCreate("jindo-slots", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create slots: %w", err)
	}
	file := os.NewFile(uintptr(fd), "slots")
	if err := file.Truncate(sizeOf(count, parked, MaxBackings)); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("create slots: %w", err)
	}
	head := make([]byte, offInitAt)
	copy(head, slotsMagic)
	binary.NativeEndian.PutUint32(head[offVersion:], slotsVersion)
	binary.NativeEndian.PutUint32(head[offCount:], uint32(count))
	binary.NativeEndian.PutUint32(head[offParked:], uint32(parked))
	binary.NativeEndian.PutUint32(head[offBackings:], MaxBackings)
	_, _ = rand.Read(head[offSession:offLastID])
	if _, err := file.WriteAt(head, 0); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("create slots: %w", err)
	}
	// A sealed size keeps one process from truncating memory that another has
	// mapped.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("seal the size of the slots: %w", err)
	}
	return MapSlots(file)
}

// sizeOf returns the size of a file, in bytes.
func sizeOf(count, parked, backings int) int64 {
	return page + int64(count)*slotArea + int64(parked)*parkedArea + int64(backings)*backingArea
}

// MapSlots maps a file that NewSlots created. It owns the file, also when it
// fails.
func MapSlots(file *os.File) (*Slots, error) {
	s, err := mapSlots(file)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("map slots: %w", err)
	}
	return s, nil
}

func mapSlots(file *os.File) (*Slots, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, offInitAt)
	if _, err := file.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSlots, err)
	}
	s := &Slots{file: file}
	if err := s.checkHead(head, info.Size()); err != nil {
		return nil, err
	}
	var memory []byte
	if err := fdsock.Lend([]*os.File{file}, func(fds []int) error {
		memory, err = unix.Mmap(fds[0], 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	}); err != nil {
		return nil, err
	}
	s.memory = memory
	s.prefault()
	return s, nil
}

// checkHead validates the header and sets the numbers of slots, of parked slots and
// of entries for backings.
func (s *Slots) checkHead(head []byte, size int64) error {
	if len(head) < offInitAt || string(head[:len(slotsMagic)]) != slotsMagic {
		return ErrSlots
	}
	switch v := binary.NativeEndian.Uint32(head[offVersion:]); v {
	case 1: // without parked slots and backings
	case slotsVersion:
		s.parked = int(binary.NativeEndian.Uint32(head[offParked:]))
		s.backings = int(binary.NativeEndian.Uint32(head[offBackings:]))
	default:
		return fmt.Errorf("%w: version %d, want %d", ErrSlots, v, slotsVersion)
	}
	s.count = int(binary.NativeEndian.Uint32(head[offCount:]))
	if s.count < 1 || s.count > maxSlots || s.parked > maxParked || s.backings > MaxBackings || size < sizeOf(s.count, s.parked, s.backings) {
		return fmt.Errorf("%w: %d slots, %d parked slots and %d backings in %d bytes", ErrSlots, s.count, s.parked, s.backings, size)
	}
	return nil
}

// prefault maps the pages that most requests use. A thread that is killed during
// a page fault in read(2) would lose the request that it was reading.
func (s *Slots) prefault() {
	for i := range s.count {
		slot := s.Slot(i)
		slot.word(offDeaths).Add(0)
		slot.length().Add(0)
	}
}

// Len returns the number of slots.
func (s *Slots) Len() int { return s.count }

// ParkedLen returns the number of parked slots.
func (s *Slots) ParkedLen() int { return s.parked }

// Session returns the random id of the mount. State that a server recorded for
// another session must not be used in this one.
func (s *Slots) Session() [16]byte { return [16]byte(s.memory[offSession:offLastID]) }

// NextID returns an id that was never returned before within the session.
func (s *Slots) NextID() uint64 { return s.lastID().Add(1) }

// RaiseID makes every later NextID return an id larger than least.
func (s *Slots) RaiseID(least uint64) {
	for last := s.lastID().Load(); last < least; last = s.lastID().Load() {
		if s.lastID().CompareAndSwap(last, least) {
			return
		}
	}
}

// generation returns the generation of the newest attachment. It is stored here
// for a holder that adopts the mount.
func (s *Slots) generation() *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&s.memory[offGeneration]))
}

func (s *Slots) lastID() *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&s.memory[offLastID]))
}

// SaveInit stores the FUSE_INIT request and its reply, for later servers.
func (s *Slots) SaveInit(request, reply []byte) error {
	if len(request) > initArea || len(reply) > initArea {
		return fmt.Errorf("save INIT: %d and %d bytes exceed %d", len(request), len(reply), initArea)
	}
	copy(s.memory[offInitAt:], request)
	copy(s.memory[offReplyAt:], reply)
	s.word(offReplyLength).Store(uint32(len(reply)))
	s.word(offRequestLength).Store(uint32(len(request)))
	return nil
}

// Init returns what SaveInit stored, nil before that.
func (s *Slots) Init() (request, reply []byte) {
	n, m := int(s.word(offRequestLength).Load()), int(s.word(offReplyLength).Load())
	if n == 0 || n > initArea || m > initArea {
		return nil, nil
	}
	return s.memory[offInitAt : offInitAt+n], s.memory[offReplyAt : offReplyAt+m]
}

func (s *Slots) word(at int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&s.memory[at]))
}

// Slot returns slot i, with 0 <= i < Len.
func (s *Slots) Slot(i int) *Slot {
	at := page + i*slotArea
	return &Slot{memory: s.memory[at : at+slotArea : at+slotArea], request: page, reply: page + requestArea}
}

// Parked returns parked slot i, with 0 <= i < ParkedLen.
func (s *Slots) Parked(i int) *Slot {
	at := page + s.count*slotArea + i*parkedArea
	return &Slot{memory: s.memory[at : at+parkedArea : at+parkedArea], request: parkedRequest, reply: page}
}

// Close unmaps the memory and closes the file. No Slot may be used afterwards.
func (s *Slots) Close() error {
	err := unix.Munmap(s.memory)
	s.memory = nil
	if closeErr := s.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("close slots: %w", err)
	}
	return nil
}
