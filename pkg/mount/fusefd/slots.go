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

// Layout of the memory file, version 1, in the byte order of the machine (it
// never leaves it):
//
//	page 0: magic, version, count, session, largest id, lengths of INIT and
//	        of its reply, then both
//	then for each slot: a page of control, the request, the reply
//
// The file is sparse: what is never touched takes no memory.
const (
	slotsMagic   = "JINDOSLT"
	slotsVersion = 1

	page = 4096
	// maxPayload is the most that one request carries besides its headers.
	maxPayload = 1 << 20
	// requestArea and replyArea of a slot. Replies that are kept are small:
	// a read's is not, it is simply read again.
	requestArea = maxPayload + page
	replyArea   = 16 * page
	slotArea    = page + requestArea + replyArea

	offVersion       = 8
	offCount         = 12
	offSession       = 16
	offLastID        = 32
	offRequestLength = 40
	offReplyLength   = 44
	// offGeneration is 0 in files of holders that did not keep it there.
	offGeneration = 48
	offInitAt     = 64
	initArea      = 1024
	offReplyAt    = offInitAt + initArea

	offDeaths = 0
	offReply  = 4

	maxSlots = 4096
	// inHeaderSize is the size of the header of every request.
	inHeaderSize = 40
)

// ErrSlots says that a memory file is none of ours, or of another version.
var ErrSlots = errors.New("not a file of slots")

// Slots is the memory that a holder and its servers share. Slots are used by
// one goroutine at a time each; the rest is safe for concurrent use, except
// Close.
type Slots struct {
	file   *os.File
	memory []byte
	count  int
}

// NewSlots makes an empty file of count slots with a new session.
func NewSlots(count int) (*Slots, error) {
	if count < 1 || count > maxSlots {
		return nil, fmt.Errorf("making slots: %d is not within 1 to %d", count, maxSlots)
	}
	fd, err := unix.MemfdCreate("jindo-slots", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("making slots: %w", err)
	}
	file := os.NewFile(uintptr(fd), "slots")
	if err := file.Truncate(page + int64(count)*slotArea); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("making slots: %w", err)
	}
	head := make([]byte, offLastID)
	copy(head, slotsMagic)
	binary.NativeEndian.PutUint32(head[offVersion:], slotsVersion)
	binary.NativeEndian.PutUint32(head[offCount:], uint32(count))
	_, _ = rand.Read(head[offSession:offLastID])
	if _, err := file.WriteAt(head, 0); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("making slots: %w", err)
	}
	// Nobody who is lent the file can make it shorter under the other's feet.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("sealing the size of the slots: %w", err)
	}
	return MapSlots(file)
}

// MapSlots maps a file that NewSlots made. It owns the file from now on, also
// when it fails.
func MapSlots(file *os.File) (*Slots, error) {
	s, err := mapSlots(file)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("mapping slots: %w", err)
	}
	return s, nil
}

func mapSlots(file *os.File) (*Slots, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, offLastID)
	if _, err := file.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSlots, err)
	}
	count, err := checkHead(head, info.Size())
	if err != nil {
		return nil, err
	}
	var memory []byte
	if err := fdsock.Lend([]*os.File{file}, func(fds []int) error {
		memory, err = unix.Mmap(fds[0], 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	}); err != nil {
		return nil, err
	}
	s := &Slots{file: file, memory: memory, count: count}
	s.prefault()
	return s, nil
}

// checkHead answers the number of slots.
func checkHead(head []byte, size int64) (int, error) {
	if len(head) < offLastID || string(head[:len(slotsMagic)]) != slotsMagic {
		return 0, ErrSlots
	}
	if v := binary.NativeEndian.Uint32(head[offVersion:]); v != slotsVersion {
		return 0, fmt.Errorf("%w: version %d, this program knows %d", ErrSlots, v, slotsVersion)
	}
	count := binary.NativeEndian.Uint32(head[offCount:])
	if count < 1 || count > maxSlots || size < page+int64(count)*slotArea {
		return 0, fmt.Errorf("%w: %d slots in %d bytes", ErrSlots, count, size)
	}
	return int(count), nil
}

// prefault maps the pages in which most requests arrive. A thread that is killed
// while the kernel has to map a page for it loses the request it was reading.
func (s *Slots) prefault() {
	for i := range s.count {
		slot := s.Slot(i)
		slot.word(offDeaths).Add(0)
		slot.length().Add(0)
	}
}

// Len is the number of slots.
func (s *Slots) Len() int { return s.count }

// Session is drawn once for each mount. What a server remembers of another
// session means nothing in this one.
func (s *Slots) Session() [16]byte { return [16]byte(s.memory[offSession:offLastID]) }

// NextID answers an id that was never answered before within the session.
func (s *Slots) NextID() uint64 { return s.lastID().Add(1) }

// RaiseID makes every later id larger than the given one.
func (s *Slots) RaiseID(least uint64) {
	for last := s.lastID().Load(); last < least; last = s.lastID().Load() {
		if s.lastID().CompareAndSwap(last, least) {
			return
		}
	}
}

// generation of the newest lease: kept here, a holder that adopts the mount
// finds it.
func (s *Slots) generation() *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&s.memory[offGeneration]))
}

func (s *Slots) lastID() *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&s.memory[offLastID]))
}

// SaveInit keeps the request that opened the connection and its reply, for
// servers to come.
func (s *Slots) SaveInit(request, reply []byte) error {
	if len(request) > initArea || len(reply) > initArea {
		return fmt.Errorf("saving INIT: %d and %d bytes are more than %d", len(request), len(reply), initArea)
	}
	copy(s.memory[offInitAt:], request)
	copy(s.memory[offReplyAt:], reply)
	s.word(offReplyLength).Store(uint32(len(reply)))
	s.word(offRequestLength).Store(uint32(len(request)))
	return nil
}

// Init answers what SaveInit kept; nil before.
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

// Slot i, from 0 up to Len.
func (s *Slots) Slot(i int) *Slot {
	at := page + i*slotArea
	return &Slot{memory: s.memory[at : at+slotArea : at+slotArea]}
}

// Close unmaps. No Slot may be used any more.
func (s *Slots) Close() error {
	err := unix.Munmap(s.memory)
	s.memory = nil
	if closeErr := s.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("closing slots: %w", err)
	}
	return nil
}
