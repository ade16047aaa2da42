//go:build linux

package fusefs

import (
	"runtime/debug"
	"syscall"
	"unsafe"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// maxInline is the size of the largest read, in bytes, that is served before another
// loop reads requests.
const maxInline = 32 << 10

// readNow serves a READ whose bytes are in memory, and reports whether it did. It
// never waits, so that it needs neither a deadline, nor to be parked, nor another
// loop. Any other request is served with all of these.
func (s *Server) readNow(slot *fusefd.Slot, h header, request []byte, memory *scratch) (served bool, err error) {
	in, ok := readRequestOf(request)
	if !ok {
		return false, nil
	}
	open := s.files.beginKnown(in)
	if open == nil {
		return false, nil
	}
	defer s.files.endRead(open, 0)
	if open.spoils(in) || in.size == 0 || in.offset >= uint64(max(open.version.Size, 0)) {
		return false, nil
	}
	file, ok := open.open.opened().(InstantFile)
	if !ok {
		return false, nil
	}
	n := int(min(int64(in.size), open.version.Size-int64(in.offset)))
	if n > maxInline {
		s.device.turn.pass(memory.ticket)
	}
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("request panicked", "opcode", h.opcode, "panic", cause, "stack", string(debug.Stack()))
			served, err = true, s.send(slot, errorReply(make([]byte, outHeaderSize), h.unique, syscall.EIO))
		}
	}()
	buffer := s.buffers.get(n)
	defer s.buffers.put(buffer)
	p := (*buffer)[outHeaderSize : outHeaderSize+n]
	lent, ok := file.ReadNow(p, int64(in.offset))
	if !ok {
		return false, nil
	}
	defer lent.Release()
	if unsafe.SliceData(lent.Bytes) == unsafe.SliceData(p) {
		return true, s.send(slot, dataReply(*buffer, h.unique, n))
	}
	return true, s.sendData(slot, dataHeader((*buffer)[:outHeaderSize], h.unique, n), lent.Bytes)
}
