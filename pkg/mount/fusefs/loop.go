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

// startLoop starts a loop that reads requests into an empty slot.
func (s *Server) startLoop(slot *fusefd.Slot) {
	s.loops.Go(func() { s.ended(s.loop(slot, newScratch())) })
}

// startTakeover starts to complete the request that a predecessor left in a slot.
// A slot that is not parked is then served by a loop.
func (s *Server) startTakeover(slot *fusefd.Slot, parked bool) {
	s.loops.Go(func() {
		memory := newScratch()
		keep, err := s.takeOver(slot, parked, memory)
		s.takeovers.Done()
		if err == nil && keep && !parked {
			err = s.loop(slot, memory)
		}
		s.ended(err)
	})
}

// ended records why a loop ended, and ends the requests in progress when the mount
// does not exist any more.
func (s *Server) ended(err error) {
	if errors.Is(err, errDisconnected) {
		// No request in progress can get a reply any more.
		s.files.requests.cancelAll(errDisconnected)
	}
	if err == nil || errors.Is(err, errDisconnected) || errors.Is(err, errStopped) {
		return
	}
	s.failMu.Lock()
	defer s.failMu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

// scratch is the memory of a loop for the request in progress. It must not be in
// the slot, because the request may leave the slot while it is processed.
type scratch struct {
	*ticket
	request []byte
	reply   []byte
}

func newScratch() *scratch { return &scratch{ticket: newTicket()} }

// copyOf returns a copy of a request that reads, of which the largest has a name.
// The others are processed in their slot, and nil is returned for them.
func (m *scratch) copyOf(request []byte) []byte {
	if len(request) > maxParkedRequest {
		return nil
	}
	m.request = append(m.request[:0], request...)
	return m.request
}

// replyBuffer returns a buffer of n bytes.
func (m *scratch) replyBuffer(n int) []byte {
	if cap(m.reply) < n {
		m.reply = make([]byte, n)
	}
	return m.reply[:n]
}

// loop reads requests into a slot and serves them, until the connection ends or a
// request is parked, whose processing this goroutine then completes while another
// loop serves the slot.
func (s *Server) loop(slot *fusefd.Slot, memory *scratch) error {
	defer func() { s.device.turn.pass(memory.ticket) }()
	for {
		slot.Prepare()
		if err := s.device.read(slot.Buffer(), memory.ticket); err != nil {
			// No request was read, so that the slot is not live.
			slot.Clear()
			return err
		}
		if keep, err := s.serveRequest(slot, false, memory); err != nil || !keep {
			return err
		}
	}
}

// serveRequest processes the request in a slot and writes its reply. It reports
// whether the request was completed in that slot: keep is false when the slot is
// parked or was left to another loop.
func (s *Server) serveRequest(slot *fusefd.Slot, parked bool, memory *scratch) (keep bool, err error) {
	request := slot.Request()
	if request == nil {
		return true, nil
	}
	h := headerOf(request)
	began := time.Now()
	if !parked {
		if served, err := s.serveNow(slot, h, request, memory); served {
			s.metrics.observe(h.opcode, time.Since(began))
			return true, err
		}
	}
	// Any other request may wait, so that another loop reads meanwhile.
	s.device.turn.pass(memory.ticket)
	defer func() { s.metrics.observe(h.opcode, time.Since(began)) }()
	// This must run after the reply, also when the request failed.
	defer s.files.table.replied(h.unique)
	switch h.opcode {
	case opcodeForget, opcodeBatchForget:
		s.files.forget(h.unique, forgets(h, request))
		slot.Clear()
		return true, nil
	case opcodeInterrupt:
		if len(request) >= inHeaderSize+8 {
			s.files.requests.interrupt(binary.NativeEndian.Uint64(request[inHeaderSize:]))
		}
		slot.Clear()
		return true, nil
	case opcodeInit:
		return true, s.init(slot, request)
	}
	if private := memory.copyOf(request); private != nil {
		return s.serveParkable(slot, parked, h, private, memory)
	}
	return true, s.reply(slot, h, s.buildReply(h, request, slot.ReplyBuffer()))
}

// serveParkable processes a copy of the request in a slot. It is parked when that
// takes long.
func (s *Server) serveParkable(slot *fusefd.Slot, parked bool, h header, request []byte, memory *scratch) (keep bool, err error) {
	v := s.startService(slot, parked)
	defer v.free()
	var reply []byte
	if h.opcode == opcodeRead {
		reply = s.buildRead(h, request, v, memory)
	} else {
		reply = s.buildReply(h, request, memory.replyBuffer(replySize(h, request, len(slot.ReplyBuffer()))))
	}
	at, parked := v.finish()
	if h.changesTable() && !failedReply(reply) {
		at.SetReply(copy(at.ReplyBuffer(), reply))
	}
	err = s.reply(at, h, reply)
	if parked && at.Request() == nil {
		s.parking.put(at)
	}
	return !parked, err
}

// replySize returns the size of the buffer for the reply to a request, and limits
// what a directory is read for to limit, in bytes.
func replySize(h header, request []byte, limit int) int {
	if h.opcode != opcodeReadDir && h.opcode != opcodeReadDirPlus {
		return smallReply
	}
	limitRead(request, uint32(limit-outHeaderSize))
	return limit
}

// recovered replaces the reply by an error if the processing of the request has
// panicked. It must be deferred.
func (s *Server) recovered(h header, out []byte, reply *[]byte) {
	if cause := recover(); cause != nil {
		s.log.Error("request panicked", "opcode", h.opcode, "panic", cause, "stack", string(debug.Stack()))
		*reply = errorReply(out, h.unique, syscall.EIO)
	}
}

// buildRead builds the reply to a READ. Its bytes are in the memory of the
// service, which the caller must free.
func (s *Server) buildRead(h header, request []byte, v *service, memory *scratch) (reply []byte) {
	small := memory.replyBuffer(smallReply)
	defer s.recovered(h, small, &reply)
	in, ok := readRequestOf(request)
	if !ok {
		return errorReply(small, h.unique, syscall.EINVAL)
	}
	n, code := s.files.read(in, v)
	switch {
	case code != fuse.OK:
		return errorReply(small, h.unique, syscall.Errno(code))
	case n == 0:
		return dataReply(small, h.unique, 0)
	}
	return dataReply(*v.buffer, h.unique, n)
}

// buildReply builds the reply to a request in out. When processing fails or
// panics, it returns an error reply.
func (s *Server) buildReply(h header, request, out []byte) (reply []byte) {
	defer s.recovered(h, out, &reply)
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

// send writes a reply and clears the slot.
func (s *Server) send(slot *fusefd.Slot, reply []byte) error {
	return s.sent(slot, len(reply), s.device.write(reply))
}

// sendData is like send for a reply whose data is elsewhere than its header.
func (s *Server) sendData(slot *fusefd.Slot, header, data []byte) error {
	return s.sent(slot, len(header)+len(data), s.device.write(header, data))
}

// sent clears a slot after its reply was written. The kernel may have withdrawn the
// request, which is not an error.
func (s *Server) sent(slot *fusefd.Slot, size int, err error) error {
	slot.Clear()
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.EPERM):
		return errDisconnected
	case errors.Is(err, unix.EINVAL):
		// The kernel has rejected the reply and failed the request.
		s.log.Error("the kernel rejected a reply", "bytes", size)
		return nil
	default:
		return fmt.Errorf("write a reply to the kernel: %w", err)
	}
}
