//go:build linux

package fusefs

import (
	"encoding/binary"
	"sync"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

const (
	// maxDeaths is how many servers may die over one request before it is
	// answered with an error: it may be what kills them.
	maxDeaths = 3
	// suspectTime is how long a suspect is worked on alone. What kills a server
	// does so sooner.
	suspectTime = 500 * time.Millisecond
	// takeoverTimeout is how long requests that were taken over keep a server
	// from saying that it serves.
	takeoverTimeout = time.Second
)

// takeOver ends the request that a predecessor left in a slot. The first
// successor works on all that were left at once. When it dies too, the next
// ones take them one at a time and count deaths only then, so that requests
// which do no harm do not pay for the one that does, or for servers that are
// killed from outside.
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
	if slot.Deaths() > 0 {
		defer s.lockSuspect()()
	}
	if deaths := slot.Died(); deaths >= maxDeaths {
		s.log.Error("a request outlived its servers and is refused", "opcode", h.opcode, "node", h.node, "deaths", deaths)
		s.metrics.takenOver.WithLabelValues("refused").Inc()
		return s.send(slot, errorReply(slot.ReplyBuffer(), h.unique, syscall.EIO))
	}
	s.metrics.takenOver.WithLabelValues("done afresh").Inc()
	return s.serveRequest(slot)
}

// lockSuspect waits until no other suspect is worked on; the function it answers
// gives the turn on, which happens by itself after turnTime.
func (s *Server) lockSuspect() func() {
	s.suspectMu.Lock()
	var once sync.Once
	release := func() { once.Do(s.suspectMu.Unlock) }
	timer := time.AfterFunc(suspectTime, release)
	return func() {
		timer.Stop()
		release()
	}
}

// announceTakeover tells the holder that the mount is served, once what a
// predecessor left is answered or has had its time.
func (s *Server) announceTakeover(over <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		s.takeovers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(takeoverTimeout):
	}
	select {
	case <-over:
	default:
		s.announce()
	}
}

func (s *Server) announce() {
	if err := s.attachment.Serving(); err != nil {
		s.log.Warn("the holder of the mount does not hear", "error", err)
	}
}

// init opens the connection and keeps how, for successors.
func (s *Server) init(slot *fusefd.Slot, request []byte) error {
	reply := s.buildReply(headerOf(request), request, slot.ReplyBuffer())
	if failedReply(reply) {
		return s.send(slot, reply)
	}
	if len(reply) >= initReplySize {
		// The kernel takes the lesser of this and what the mount is set to.
		binary.NativeEndian.PutUint32(reply[offMaxReadAhead:], maxRequest)
	}
	if err := s.attachment.Slots.SaveInit(request, reply); err != nil {
		return err
	}
	s.setNegotiated(reply)
	if err := s.send(slot, reply); err != nil {
		return err
	}
	s.announce()
	return nil
}

// replayInit brings the protocol to where a predecessor had it.
func (s *Server) replayInit() {
	request, reply := s.attachment.Slots.Init()
	if len(request) < inHeaderSize {
		return
	}
	// The protocol may scribble on it.
	again := append([]byte(nil), request...)
	s.buildReply(headerOf(again), again, make([]byte, 4096))
	s.setNegotiated(reply)
}

// setNegotiated notes what was agreed with the kernel.
func (s *Server) setNegotiated(reply []byte) {
	if len(reply) >= initReplySize && binary.NativeEndian.Uint32(reply[offReplyFlags:])&capInitExt != 0 {
		s.files.notifier.expire.Store(binary.NativeEndian.Uint32(reply[offReplyFlags2:])&capExpireOnly != 0)
	}
	s.negotiated.Store(true)
}
