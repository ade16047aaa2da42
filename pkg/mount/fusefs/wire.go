//go:build linux

package fusefs

import (
	"encoding/binary"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The parts of the FUSE protocol (include/uapi/linux/fuse.h) that the request loop
// needs. go-fuse implements the rest.
const (
	// Sizes of the request and reply headers, in bytes.
	inHeaderSize  = 40
	outHeaderSize = 16

	opcodeLookup      = 1
	opcodeForget      = 2
	opcodeOpen        = 14
	opcodeRead        = 15
	opcodeRelease     = 18
	opcodeInit        = 26
	opcodeOpenDir     = 27
	opcodeReadDir     = 28
	opcodeReleaseDir  = 29
	opcodeInterrupt   = 36
	opcodeDestroy     = 38
	opcodeBatchForget = 42
	opcodeReadDirPlus = 44

	// maxParkedRequest is the size of the largest request that can be parked, in
	// bytes: its header, a fixed part, and a name.
	maxParkedRequest = 1024
	// smallReply is the size of a buffer, in bytes, for every reply other than
	// those to READ and READDIR.
	smallReply = 4096

	// offReadSize is the offset of the size in READ and READDIR requests.
	offReadSize = inHeaderSize + 16
	// Offsets and size of the reply to FUSE_INIT.
	offMaxReadAhead = outHeaderSize + 8
	offReplyFlags   = outHeaderSize + 12
	offReplyFlags2  = outHeaderSize + 32
	initReplySize   = outHeaderSize + 64
	// capExpireOnly is FUSE_HAS_EXPIRE_ONLY, bit 35 of the flags, in their upper
	// word.
	capExpireOnly = 1 << (35 - 32)
	// capPassthrough is FUSE_PASSTHROUGH, bit 37.
	capPassthrough = 1 << (37 - 32)
	// capInitExt is FUSE_INIT_EXT, which makes the upper word valid.
	capInitExt = 1 << 30
)

// header holds the fields of a request header that the loop needs.
type header struct {
	opcode uint32
	unique uint64
	node   uint64
}

func headerOf(request []byte) header {
	return header{
		opcode: binary.NativeEndian.Uint32(request[4:]),
		unique: binary.NativeEndian.Uint64(request[8:]),
		node:   binary.NativeEndian.Uint64(request[16:]),
	}
}

// changesTable reports whether a reply to this request makes a change of the table
// known to the kernel, so that the reply must survive the server.
func (h header) changesTable() bool {
	switch h.opcode {
	case opcodeLookup, opcodeOpen, opcodeOpenDir, opcodeReadDir, opcodeReadDirPlus, opcodeRelease, opcodeReleaseDir:
		return true
	}
	return false
}

// readRequest is a READ request.
type readRequest struct {
	unique, node, handle, offset uint64
	size, thread                 uint32
	// cached is set when the bytes go into the pages of the node, not to a reader: a
	// READ of a reader has the owner of its locks.
	cached bool
}

// readRequestOf decodes a READ request. It returns false for a truncated one and
// for an impossible size.
func readRequestOf(request []byte) (readRequest, bool) {
	if len(request) < offReadSize+8 {
		return readRequest{}, false
	}
	r := readRequest{
		unique: binary.NativeEndian.Uint64(request[8:]),
		node:   binary.NativeEndian.Uint64(request[16:]),
		thread: binary.NativeEndian.Uint32(request[32:]),
		handle: binary.NativeEndian.Uint64(request[inHeaderSize:]),
		offset: binary.NativeEndian.Uint64(request[inHeaderSize+8:]),
		size:   binary.NativeEndian.Uint32(request[offReadSize:]),
		cached: binary.NativeEndian.Uint32(request[offReadSize+4:])&fuse.READ_LOCKOWNER == 0,
	}
	return r, r.size <= maxRequest
}

// dataReply completes a reply in b, which has n bytes of data after the header.
func dataReply(b []byte, unique uint64, n int) []byte {
	b = b[:outHeaderSize+n]
	dataHeader(b, unique, n)
	return b
}

// dataHeader writes the header of a reply with n bytes of data to b.
func dataHeader(b []byte, unique uint64, n int) []byte {
	binary.NativeEndian.PutUint32(b, uint32(outHeaderSize+n))
	binary.NativeEndian.PutUint32(b[4:], 0)
	binary.NativeEndian.PutUint64(b[8:], unique)
	return b
}

// errorReply builds a reply in b that consists of an error only.
func errorReply(b []byte, unique uint64, errno syscall.Errno) []byte {
	b = b[:outHeaderSize]
	binary.NativeEndian.PutUint32(b, outHeaderSize)
	binary.NativeEndian.PutUint32(b[4:], uint32(-int32(errno)))
	binary.NativeEndian.PutUint64(b[8:], unique)
	return b
}

// failedReply reports whether a reply contains an error.
func failedReply(reply []byte) bool {
	return len(reply) >= outHeaderSize && binary.NativeEndian.Uint32(reply[4:]) != 0
}

// forgets decodes a FORGET or BATCH_FORGET request. It returns nil for a truncated
// one.
func forgets(h header, request []byte) []forgetEntry {
	body := request[inHeaderSize:]
	if h.opcode == opcodeForget {
		if len(body) < 8 {
			return nil
		}
		return []forgetEntry{{node: h.node, count: binary.NativeEndian.Uint64(body)}}
	}
	if len(body) < 8 {
		return nil
	}
	count, body := binary.NativeEndian.Uint32(body), body[8:]
	var list []forgetEntry
	for ; count > 0 && len(body) >= 16; count-- {
		list = append(list, forgetEntry{node: binary.NativeEndian.Uint64(body), count: binary.NativeEndian.Uint64(body[8:])})
		body = body[16:]
	}
	return list
}

// limitRead reduces the size requested by a READDIR to most bytes.
func limitRead(request []byte, most uint32) {
	if len(request) >= offReadSize+4 && binary.NativeEndian.Uint32(request[offReadSize:]) > most {
		binary.NativeEndian.PutUint32(request[offReadSize:], most)
	}
}
