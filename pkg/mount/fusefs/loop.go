//go:build linux

package fusefs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// loop serves one slot: first the request that a predecessor left in it, then new
// requests.
func (s *Server) loop(slot *fusefd.Slot) error {
	err := s.takeOver(slot)
	s.takeovers.Done()
	if err != nil {
		return err
	}
	for {
		slot.Prepare()
		if err := s.device.read(slot.Buffer()); err != nil {
			// No request was read, so that the slot is not live.
			slot.Clear()
			return err
		}
		if err := s.serveRequest(slot); err != nil {
			return err
		}
	}
}

// serveRequest processes the request in a slot and writes its reply.
func (s *Server) serveRequest(slot *fusefd.Slot) error {
	request := slot.Request()
	if request == nil {
		return nil
	}
	h := headerOf(request)
	began := time.Now()
	defer func() { s.metrics.observe(h.opcode, time.Since(began)) }()
	// This must run after the reply, also when the request failed.
	defer s.files.table.replied(h.unique)
	switch h.opcode {
	case opcodeForget, opcodeBatchForget:
		s.files.table.forget(h.unique, forgets(h, request))
		slot.Clear()
		return nil
	case opcodeInterrupt:
		if len(request) >= inHeaderSize+8 {
			s.files.requests.interrupt(binary.NativeEndian.Uint64(request[inHeaderSize:]))
		}
		slot.Clear()
		return nil
	case opcodeInit:
		return s.init(slot, request)
	case opcodeRead:
		buffer, _ := s.buffers.Get().(*[]byte)
		defer s.buffers.Put(buffer)
		return s.reply(slot, h, s.buildReply(h, request, *buffer))
	}
	out := slot.ReplyBuffer()
	if h.opcode == opcodeReadDir || h.opcode == opcodeReadDirPlus {
		limitRead(request, uint32(len(out)-outHeaderSize))
	}
	reply := s.buildReply(h, request, out)
	if h.changesTable() && !failedReply(reply) {
		slot.SetReply(len(reply))
	}
	return s.reply(slot, h, reply)
}

// buildReply builds the reply to a request in out. When processing fails or
// panics, it returns an error reply.
func (s *Server) buildReply(h header, request, out []byte) (reply []byte) {
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("request panicked", "opcode", h.opcode, "panic", cause, "stack", string(debug.Stack()))
			reply = errorReply(out, h.unique, syscall.EIO)
		}
	}()
	n, code := s.protocol.HandleRequest([][]byte{request}, [][]byte{out})
	if n < outHeaderSize {
		if code == fuse.OK {
			code = fuse.EIO
		}
		return errorReply(out, h.unique, syscall.Errno(code))
	}
	return out[:n]
}

// reply writes a reply. While the server is stopping it does not write error
// replies, but leaves the request in its slot to the successor and returns
// errStopped.
func (s *Server) reply(slot *fusefd.Slot, h header, reply []byte) error {
	if s.stopping.Load() && failedReply(reply) {
		s.log.Debug("request left to the next server", "opcode", h.opcode)
		return errStopped
	}
	return s.send(slot, reply)
}

// send writes a reply and clears the slot. The kernel may have withdrawn the
// request, which is not an error.
func (s *Server) send(slot *fusefd.Slot, reply []byte) error {
	err := s.device.write(reply)
	slot.Clear()
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.EPERM):
		return errDisconnected
	case errors.Is(err, unix.EINVAL):
		// The kernel has rejected the reply and failed the request.
		s.log.Error("the kernel rejected a reply", "bytes", len(reply))
		return nil
	default:
		return fmt.Errorf("write a reply to the kernel: %w", err)
	}
}
