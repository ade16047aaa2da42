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

// loop works on one slot: first on what a predecessor left in it, then on what
// comes.
func (s *Server) loop(slot *fusefd.Slot) error {
	err := s.takeOver(slot)
	s.takeovers.Done()
	if err != nil {
		return err
	}
	for {
		slot.Prepare()
		if err := s.device.read(slot.Buffer()); err != nil {
			// Nothing was read, so nothing is live.
			slot.Clear()
			return err
		}
		if err := s.serveRequest(slot); err != nil {
			return err
		}
	}
}

// serveRequest answers the request in a slot.
func (s *Server) serveRequest(slot *fusefd.Slot) error {
	request := slot.Request()
	if request == nil {
		return nil
	}
	h := headerOf(request)
	began := time.Now()
	defer func() { s.metrics.observe(h.opcode, time.Since(began)) }()
	// After the reply, whatever happened.
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

// buildReply makes the reply in out. Whatever goes wrong, there is one.
func (s *Server) buildReply(h header, request, out []byte) (reply []byte) {
	defer func() {
		if what := recover(); what != nil {
			s.log.Error("a request panicked", "opcode", h.opcode, "panic", what, "stack", string(debug.Stack()))
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

// reply sends what was answered, unless the request is left to the successor.
func (s *Server) reply(slot *fusefd.Slot, h header, reply []byte) error {
	if s.stopping.Load() && failedReply(reply) {
		s.log.Debug("a request is left to the next server", "opcode", h.opcode)
		return errStopped
	}
	return s.send(slot, reply)
}

// send ends a request. The kernel not wanting the reply any more is normal.
func (s *Server) send(slot *fusefd.Slot, reply []byte) error {
	err := s.device.write(reply)
	slot.Clear()
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.EPERM):
		return errDisconnected
	case errors.Is(err, unix.EINVAL):
		// The kernel has refused what it was told and failed the request.
		s.log.Error("the kernel refused a reply", "bytes", len(reply))
		return nil
	default:
		return fmt.Errorf("answering the kernel: %w", err)
	}
}
