//go:build linux

package fusefd

import (
	"encoding/binary"
)

const (
	// MaxBackings is the largest number of registrations of one mount. Each pins a
	// file of a cache.
	MaxBackings = 4096
	// backingArea is the size of the entry of one registration in the memory file:
	// the id that the kernel returned (4; 0 is a free entry), 4 unused bytes, the
	// nodeid (8), and the device and the inode of the file (8 and 8).
	backingArea = 32
)

// Backing is a file that is registered with the kernel as the backing of a node.
// It is registered until the holder is told to end it, across servers and holders.
type Backing struct {
	// ID is the id of the kernel, never 0. It is unique within the mount.
	ID uint32
	// Node is the nodeid that the server registered it for.
	Node uint64
	// Device and Inode identify the file.
	Device, Inode uint64
}

// Backings returns the registrations of the mount, also those that a predecessor
// or a previous holder made.
func (s *Slots) Backings() []Backing {
	var list []Backing
	for i := range s.backings {
		if b, ok := s.backing(i); ok {
			list = append(list, b)
		}
	}
	return list
}

// backing returns entry i, and false if it is free.
func (s *Slots) backing(i int) (Backing, bool) {
	at := s.backingAt(i)
	b := Backing{
		ID: s.word(at).Load(), Node: binary.NativeEndian.Uint64(s.memory[at+8:]),
		Device: binary.NativeEndian.Uint64(s.memory[at+16:]), Inode: binary.NativeEndian.Uint64(s.memory[at+24:]),
	}
	return b, b.ID != 0
}

// setBacking fills entry i. The id is stored last, since it makes the entry valid.
func (s *Slots) setBacking(i int, b Backing) {
	at := s.backingAt(i)
	binary.NativeEndian.PutUint64(s.memory[at+8:], b.Node)
	binary.NativeEndian.PutUint64(s.memory[at+16:], b.Device)
	binary.NativeEndian.PutUint64(s.memory[at+24:], b.Inode)
	s.word(at).Store(b.ID)
}

func (s *Slots) clearBacking(i int) { s.word(s.backingAt(i)).Store(0) }

func (s *Slots) backingAt(i int) int {
	return int(sizeOf(s.count, s.parked, 0)) + i*backingArea
}
