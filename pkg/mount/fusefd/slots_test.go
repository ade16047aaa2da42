//go:build linux

package fusefd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// request returns a request of n bytes as the kernel writes it.
func request(n int, fill byte) []byte {
	b := bytes.Repeat([]byte{fill}, n)
	binary.NativeEndian.PutUint32(b, uint32(n))
	return b
}

// mapAgain maps the same memory file again, like the next server.
func mapAgain(t *testing.T, s *Slots) *Slots {
	t.Helper()
	var again *Slots
	if err := fdsock.Lend([]*os.File{s.file}, func(fds []int) error {
		fd, err := unix.Dup(fds[0])
		if err != nil {
			return err
		}
		again, err = MapSlots(os.NewFile(uintptr(fd), "slots"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func newSlots(t *testing.T, count int) *Slots {
	t.Helper()
	s, err := NewSlots(count, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSlotLife(t *testing.T) {
	first := newSlots(t, 2)
	slot := first.Slot(1)
	if slot.Request() != nil {
		t.Fatal("a new slot is live")
	}
	slot.Prepare()
	sent := request(100, 7)
	copy(slot.Buffer(), sent)
	copy(slot.ReplyBuffer(), "reply")

	second := mapAgain(t, first)
	found := second.Slot(1)
	if !bytes.Equal(found.Request(), sent) {
		t.Error("the successor reads another request")
	}
	if found.Reply() != nil {
		t.Error("Reply returns a reply before SetReply")
	}
	if got := []int{found.Deaths(), found.Died(), found.Died(), found.Deaths()}; got[0] != 0 || got[1] != 1 || got[2] != 2 || got[3] != 2 {
		t.Errorf("got deaths %v, want [0 1 2 2]", got)
	}
	found.SetReply(len("reply"))
	if string(mapAgain(t, second).Slot(1).Reply()) != "reply" {
		t.Error("Reply returns another reply than the published one")
	}
	found.Clear()
	if slot.Request() != nil {
		t.Error("a cleared slot is live")
	}
	slot.Prepare()
	if slot.Reply() != nil || slot.Deaths() != 0 {
		t.Error("Prepare kept the reply or deaths of the previous request")
	}
	if second.Slot(0).Request() != nil {
		t.Error("another slot is live")
	}
}

// A parked request survives its server, with its deaths, and leaves its slot to
// another request.
func TestParkedSlot(t *testing.T) {
	first := newSlots(t, 2)
	slot, parked := first.Slot(1), first.Parked(1)
	if slot.MoveTo(parked) || parked.Request() != nil {
		t.Error("MoveTo moved a request that does not exist")
	}
	sent := request(100, 7)
	copy(slot.Buffer(), sent)
	slot.Died()
	if !slot.MoveTo(parked) {
		t.Fatal("MoveTo did not move the request")
	}
	if slot.Request() != nil {
		t.Error("the slot of a parked request is live")
	}
	slot.Prepare()
	copy(slot.Buffer(), request(200, 9))
	found := mapAgain(t, first).Parked(1)
	if !bytes.Equal(found.Request(), sent) || found.Deaths() != 1 {
		t.Errorf("the successor reads another request, or %d deaths instead of 1", found.Deaths())
	}
	n := copy(parked.ReplyBuffer(), "reply")
	parked.SetReply(n)
	if string(found.Reply()) != "reply" || first.Parked(0).Request() != nil {
		t.Error("the reply is not in the parked slot, or another slot is live")
	}
	large := first.Slot(0)
	binary.NativeEndian.PutUint32(large.Buffer(), uint32(len(parked.Buffer())+1))
	if large.MoveTo(first.Parked(0)) || large.Request() == nil {
		t.Error("MoveTo moved a request that does not fit")
	}
}

// Files of version 1 have no parked slots.
func TestSlotsOfVersion1(t *testing.T) {
	s := newSlots(t, 1)
	binary.NativeEndian.PutUint32(s.memory[offVersion:], 1)
	binary.NativeEndian.PutUint32(s.memory[offParked:], 7)
	if old := mapAgain(t, s); old.Len() != 1 || old.ParkedLen() != 0 {
		t.Errorf("got %d slots and %d parked ones, want 1 and 0", old.Len(), old.ParkedLen())
	}
}

func TestImpossibleLengths(t *testing.T) {
	slot := newSlots(t, 1).Slot(0)
	for _, n := range []uint32{1, inHeaderSize - 1, requestArea + 1, 1 << 31} {
		binary.NativeEndian.PutUint32(slot.Buffer(), n)
		if slot.Request() != nil {
			t.Errorf("length %d counts as a request", n)
		}
	}
	slot.SetReply(replyArea + 1)
	slot.SetReply(-1)
	if slot.Reply() != nil {
		t.Error("SetReply published a reply of an invalid length")
	}
}

func TestIDsAreNeverReused(t *testing.T) {
	first := newSlots(t, 1)
	second := mapAgain(t, first)
	seen := map[uint64]bool{0: true}
	for _, s := range []*Slots{first, second, first, first, second} {
		id := s.NextID()
		if seen[id] {
			t.Errorf("NextID returned %d twice", id)
		}
		seen[id] = true
	}
	second.RaiseID(1000)
	second.RaiseID(10)
	if id := first.NextID(); id != 1001 {
		t.Errorf("NextID after RaiseID(1000) returned %d, want 1001", id)
	}
}

func TestSaveInit(t *testing.T) {
	first := newSlots(t, 1)
	if request, reply := first.Init(); request != nil || reply != nil {
		t.Error("a new session has an INIT")
	}
	if err := first.SaveInit([]byte("request"), []byte("reply")); err != nil {
		t.Fatal(err)
	}
	if request, reply := mapAgain(t, first).Init(); string(request) != "request" || string(reply) != "reply" {
		t.Errorf("Init returned %q and %q", request, reply)
	}
	if first.SaveInit(make([]byte, initArea+1), nil) == nil {
		t.Error("SaveInit returned no error for a request that is too large")
	}
}

func TestSessionsDiffer(t *testing.T) {
	a, b := newSlots(t, 1), newSlots(t, 1)
	if a.Session() == b.Session() || a.Session() != mapAgain(t, a).Session() {
		t.Error("sessions must be equal for one mount and differ between mounts")
	}
}

func TestSizeOfSlotsIsSealed(t *testing.T) {
	s := newSlots(t, 1)
	if err := s.file.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncating the file returned %v, want EPERM", err)
	}
}

func TestCountOfSlots(t *testing.T) {
	for _, n := range []int{0, -1, maxSlots + 1} {
		if _, err := NewSlots(n, 0); err == nil {
			t.Errorf("no error for %d slots", n)
		}
	}
	for _, n := range []int{-1, maxParked + 1} {
		if _, err := NewSlots(1, n); err == nil {
			t.Errorf("no error for %d parked slots", n)
		}
	}
}

// FuzzMapSlots maps files with arbitrary contents, and reads all their fields.
func FuzzMapSlots(f *testing.F) {
	head := make([]byte, offLastID+100)
	copy(head, slotsMagic)
	binary.NativeEndian.PutUint32(head[offVersion:], slotsVersion)
	binary.NativeEndian.PutUint32(head[offCount:], 1)
	f.Add(head, []byte{100, 0, 0, 0}, []byte{1, 0, 0, 0, 9, 0, 0, 0}, uint32(page+slotArea))
	f.Add(head, []byte{255, 255, 255, 255}, []byte{255, 255, 255, 255, 255, 255, 255, 255}, uint32(page+slotArea))
	f.Add(head, []byte{}, []byte{}, uint32(page))
	f.Add([]byte{}, []byte{}, []byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, head, live, control []byte, size uint32) {
		fd, err := unix.MemfdCreate("fuzz", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "fuzz")
		_ = file.Truncate(int64(size % (8 * slotArea)))
		_, _ = file.WriteAt(head, 0)
		_, _ = file.WriteAt(control, page)
		_, _ = file.WriteAt(live, 2*page)
		s, err := MapSlots(file)
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		request, reply := s.Init()
		_, _, _, _ = bytes.Clone(request), bytes.Clone(reply), s.Session(), s.NextID()
		for i := range s.ParkedLen() {
			slot := s.Parked(i)
			_, _, _ = bytes.Clone(slot.Request()), bytes.Clone(slot.Reply()), slot.Deaths()
		}
		for i := range s.Len() {
			slot := s.Slot(i)
			_, _, _ = bytes.Clone(slot.Request()), bytes.Clone(slot.Reply()), slot.Died()
		}
	})
}
