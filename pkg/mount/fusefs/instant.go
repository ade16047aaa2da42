//go:build linux

package fusefs

import (
	"bytes"
	"encoding/binary"
	"runtime/debug"
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Requests that can be served from the memory of this process are served before
// another loop reads requests: to wake another loop takes longer than they do.
//
// Invariant: while a loop has the turn it waits for nothing but locks that are never
// held while something else is waited for. What would have to wait is not served
// here, without any effect, and then served with a deadline and another loop.

const (
	// maxInline is the size of the largest read, in bytes, that is served before
	// another loop reads requests.
	maxInline = 64 << 10
	// openReplySize and entryReplySize are the sizes of the replies to OPEN and
	// LOOKUP, in bytes.
	openReplySize  = outHeaderSize + int(unsafe.Sizeof(fuse.OpenOut{}))
	entryReplySize = outHeaderSize + int(unsafe.Sizeof(fuse.EntryOut{}))
)

// serveNow serves a request that needs nothing but the memory of this process, and
// reports whether it did.
func (s *Server) serveNow(slot *fusefd.Slot, h header, request []byte, memory *scratch) (served bool, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("request panicked", "opcode", h.opcode, "panic", cause, "stack", string(debug.Stack()))
			served, err = true, s.send(slot, errorReply(make([]byte, outHeaderSize), h.unique, syscall.EIO))
		}
	}()
	switch h.opcode {
	case opcodeRead:
		return s.readNow(slot, h, request, memory)
	case opcodeLookup:
		return s.lookupNow(slot, h, request)
	case opcodeOpen:
		return s.openNow(slot, h, request)
	case opcodeRelease:
		return s.releaseNow(slot, h, request, memory)
	}
	return false, nil
}

// readNow serves a READ whose bytes are in memory.
func (s *Server) readNow(slot *fusefd.Slot, h header, request []byte, memory *scratch) (served bool, err error) {
	in, ok := readRequestOf(request)
	if !ok {
		return false, nil
	}
	open := s.files.beginKnown(in, s.files.table.handleNow)
	if open == nil {
		return false, nil
	}
	defer s.files.endRead(open, 0)
	if open.spoils(in) || in.size == 0 || in.offset >= uint64(max(open.version.Size, 0)) {
		return false, nil
	}
	file, ok := open.open.getNow(s.files.instant, open.version).(InstantFile)
	if !ok {
		return false, nil
	}
	n := int(min(int64(in.size), open.version.Size-int64(in.offset)))
	if n > maxInline {
		s.device.turn.pass(memory.ticket)
	}
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

// lookupNow serves a LOOKUP of a name that the source has in memory.
func (s *Server) lookupNow(slot *fusefd.Slot, h header, request []byte) (served bool, err error) {
	name, ended := bytes.CutSuffix(request[inHeaderSize:], []byte{0})
	if s.files.instant == nil || !ended || len(name) == 0 || len(name) > nameMax || bytes.IndexByte(name, 0) >= 0 {
		return false, nil
	}
	parent, ok := s.files.table.nodeNow(h.node)
	if !ok || !parent.dir {
		return false, nil
	}
	entry, ok := s.files.tree.Load().lookupNow(s.files.instant, parent.path, string(name))
	if !ok {
		return false, nil
	}
	path := join(parent.path, string(name))
	s.files.renewals.looked(path)
	n := s.files.table.recordLookups(h.unique, []lookup{{path: path, entry: entry}}, nil)[0]
	var out fuse.EntryOut
	s.files.entryOfAge(n, ageOf(entry), &out)
	reply := slot.ReplyBuffer()[:entryReplySize]
	copy(reply[outHeaderSize:], unsafe.Slice((*byte)(unsafe.Pointer(&out)), unsafe.Sizeof(out)))
	return true, s.sendChange(slot, h, dataReply(reply, h.unique, entryReplySize-outHeaderSize))
}

// openNow serves an OPEN of a file that the kernel does not read itself. The source
// opens the file when it is read, which it often is not, because the kernel has its
// pages.
func (s *Server) openNow(slot *fusefd.Slot, h header, request []byte) (served bool, err error) {
	if s.files.immutable || s.files.instant == nil || len(request) < inHeaderSize+4 {
		return false, nil
	}
	if flags := binary.NativeEndian.Uint32(request[inHeaderSize:]); flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return false, nil
	}
	open := s.files.table.openNow(h.unique, h.node, func(n node) bool { return !s.files.passthrough.covers(n.version.Size) })
	if open == nil {
		return false, nil
	}
	reply := slot.ReplyBuffer()[:openReplySize]
	// A nodeid identifies one version, so that cached pages are valid.
	out := fuse.OpenOut{Fh: open.id, OpenFlags: fuse.FOPEN_NOFLUSH | fuse.FOPEN_KEEP_CACHE}
	copy(reply[outHeaderSize:], unsafe.Slice((*byte)(unsafe.Pointer(&out)), unsafe.Sizeof(out)))
	return true, s.sendChange(slot, h, dataReply(reply, h.unique, openReplySize-outHeaderSize))
}

// releaseNow serves the RELEASE of a file that the kernel does not read itself.
func (s *Server) releaseNow(slot *fusefd.Slot, h header, request []byte, memory *scratch) (served bool, err error) {
	if len(request) < inHeaderSize+8 {
		return false, nil
	}
	open := s.files.table.releaseNow(binary.NativeEndian.Uint64(request[inHeaderSize:]))
	if open == nil {
		return false, nil
	}
	err = s.sendChange(slot, h, dataReply(slot.ReplyBuffer(), h.unique, 0))
	if file := open.open.opened(); file != nil {
		if file, ok := file.(InstantFile); !ok || !file.ClosesNow() {
			s.device.turn.pass(memory.ticket)
		}
	}
	s.files.closeHandle(open)
	return true, err
}

// sendChange writes a reply that makes a change of the table known to the kernel, and
// that is in the slot's buffer.
func (s *Server) sendChange(slot *fusefd.Slot, h header, reply []byte) error {
	defer s.files.table.replied(h.unique)
	slot.SetReply(len(reply))
	return s.send(slot, reply)
}
