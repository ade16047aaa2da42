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

// maxDeaths is how many servers may die over one request before it is answered
// with an error: it may be what kills them.
const maxDeaths = 3

// loop works on one slot: first on what a predecessor left in it, then on what
// comes.
func (s *Server) loop(slot *fusefd.Slot) error {
	if err := s.takeOver(slot); err != nil {
		return err
	}
	for {
		slot.Prepare()
		if err := s.device.read(slot.Buffer()); err != nil {
			// Nothing was read, so nothing is live.
			slot.Clear()
			return err
		}
		if err := s.work(slot); err != nil {
			return err
		}
	}
}

// takeOver ends the request that a predecessor left in a slot.
func (s *Server) takeOver(slot *fusefd.Slot) error {
	request := slot.Request()
	if request == nil {
		return nil
	}
	h := headerOf(request)
	if reply := slot.Reply(); reply != nil {
		s.metrics.takenOver.WithLabelValues("sent again").Inc()
		return s.send(slot, reply)
	}
	if deaths := slot.Died(); deaths >= maxDeaths {
		s.log.Error("a request outlived its servers and is refused", "opcode", h.opcode, "node", h.node, "deaths", deaths)
		s.metrics.takenOver.WithLabelValues("refused").Inc()
		return s.send(slot, errorReply(slot.ReplyBuffer(), h.unique, syscall.EIO))
	}
	s.metrics.takenOver.WithLabelValues("done afresh").Inc()
	return s.work(slot)
}

// work answers the request in a slot.
func (s *Server) work(slot *fusefd.Slot) error {
	request := slot.Request()
	if request == nil {
		return nil
	}
	h := headerOf(request)
	began := time.Now()
	defer func() { s.metrics.observe(h.opcode, time.Since(began)) }()
	// After the reply, whatever happened.
	defer s.files.table.settle(h.unique)
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
		return s.reply(slot, h, s.answer(h, request, *buffer))
	}
	out := slot.ReplyBuffer()
	if h.opcode == opcodeReadDir || h.opcode == opcodeReadDirPlus {
		limitRead(request, uint32(len(out)-outHeaderSize)) //nolint:gosec // 64 KiB
	}
	reply := s.answer(h, request, out)
	if h.keeps() && !failedReply(reply) {
		slot.SetReply(len(reply))
	}
	return s.reply(slot, h, reply)
}

// answer makes the reply in out. Whatever goes wrong, there is one.
func (s *Server) answer(h header, request, out []byte) (reply []byte) {
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
		return errOver
	case errors.Is(err, unix.EINVAL):
		// The kernel has refused what it was told and failed the request.
		s.log.Error("the kernel refused a reply", "bytes", len(reply))
		return nil
	default:
		return fmt.Errorf("answering the kernel: %w", err)
	}
}

// init opens the connection and keeps how, for successors.
func (s *Server) init(slot *fusefd.Slot, request []byte) error {
	reply := s.answer(headerOf(request), request, slot.ReplyBuffer())
	if failedReply(reply) {
		return s.send(slot, reply)
	}
	if len(reply) >= initReplySize {
		// The kernel takes the lesser of this and what the mount is set to.
		binary.NativeEndian.PutUint32(reply[offMaxReadAhead:], maxRequest)
	}
	if err := s.lease.Slots.SaveInit(request, reply); err != nil {
		return err
	}
	s.settled(reply)
	if err := s.send(slot, reply); err != nil {
		return err
	}
	s.announce()
	return nil
}

// replayInit brings the protocol to where a predecessor had it.
func (s *Server) replayInit() {
	request, reply := s.lease.Slots.Init()
	if request == nil || len(request) < inHeaderSize {
		return
	}
	again := append([]byte(nil), request...)
	s.answer(headerOf(again), again, make([]byte, 4096))
	s.settled(reply)
}

// settled notes what was agreed with the kernel.
func (s *Server) settled(reply []byte) {
	if len(reply) >= initReplySize && binary.NativeEndian.Uint32(reply[offReplyFlags:])&capInitExt != 0 {
		s.files.notifier.expire.Store(binary.NativeEndian.Uint32(reply[offReplyFlags2:])&capExpireOnly != 0)
	}
	s.negotiated.Store(true)
}
