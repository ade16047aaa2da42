//go:build linux

package fusefs

import (
	"encoding/binary"
	"syscall"
)

// What the loop has to know of the protocol itself; go-fuse knows the rest.
const (
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

	// offReadSize is where READ and READDIR say how much they want.
	offReadSize = inHeaderSize + 16
	// Of INIT's reply and request.
	offMaxReadAhead = outHeaderSize + 8
	offReplyFlags   = outHeaderSize + 12
	offReplyFlags2  = outHeaderSize + 32
	initReplySize   = outHeaderSize + 64
	// capExpireOnly is bit 35: in the upper word of the flags.
	capExpireOnly = 1 << (35 - 32)
	capInitExt    = 1 << 30
)

// header of a request.
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

// changesTable says whether a reply of this kind tells the kernel of a change of the
// table, and so has to survive the server.
func (h header) changesTable() bool {
	switch h.opcode {
	case opcodeLookup, opcodeOpen, opcodeOpenDir, opcodeReadDir, opcodeReadDirPlus, opcodeRelease, opcodeReleaseDir:
		return true
	}
	return false
}

// errorReply fills b with a reply that carries nothing but an error.
func errorReply(b []byte, unique uint64, errno syscall.Errno) []byte {
	b = b[:outHeaderSize]
	binary.NativeEndian.PutUint32(b, outHeaderSize)
	binary.NativeEndian.PutUint32(b[4:], uint32(-int32(errno)))
	binary.NativeEndian.PutUint64(b[8:], unique)
	return b
}

// failedReply says whether a reply carries an error.
func failedReply(reply []byte) bool {
	return len(reply) >= outHeaderSize && binary.NativeEndian.Uint32(reply[4:]) != 0
}

// forgets decodes FORGET and BATCH_FORGET; nothing for what is neither.
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

// limitRead lowers the number of bytes that a READDIR asks for.
func limitRead(request []byte, most uint32) {
	if len(request) >= offReadSize+4 && binary.NativeEndian.Uint32(request[offReadSize:]) > most {
		binary.NativeEndian.PutUint32(request[offReadSize:], most)
	}
}
