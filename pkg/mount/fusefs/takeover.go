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
	// maxDeaths is the number of servers that may die while they process one
	// request. Then the request fails with EIO, because it may be the cause.
	maxDeaths = 3
	// maxSurvivals is the number of servers that may process one request for
	// suspectTime and end nevertheless. Then the request fails with EIO too.
	maxSurvivals = 100
	// suspectTime is the time for which a suspect request is processed alone. A
	// request that kills the server does so sooner.
	suspectTime = 500 * time.Millisecond
	// takeoverTimeout bounds the time that taken-over requests delay the report
	// to the holder that the mount is served.
	takeoverTimeout = time.Second
)

// takeOver completes the request that a predecessor left in a slot. The first
// successor processes all requests in parallel. When it dies too, the next ones
// process them one at a time and count the deaths of a request only from its own
// turn on, so that harmless requests do not fail because of a harmful one, or
// because servers are killed from outside. A request that a server processes for
// suspectTime, as one that waits for a hung store, has no deaths any more. It reports like serveRequest whether the
// slot is to be kept.
func (s *Server) takeOver(slot *fusefd.Slot, parked bool, memory *scratch) (keep bool, err error) {
	request := slot.Request()
	if request == nil {
		return true, nil
	}
	if parked {
		defer func() {
			if slot.Request() == nil && keep {
				s.parking.put(slot)
			}
		}()
	}
	h := headerOf(request)
	if reply := slot.Reply(); reply != nil {
		s.metrics.takenOver.WithLabelValues("sent again").Inc()
		return true, s.send(slot, reply)
	}
	if slot.Deaths() > 0 {
		defer s.lockSuspect()()
	}
	if deaths := slot.Died(); deaths >= maxDeaths || slot.Survivals() >= maxSurvivals {
		s.log.Error("request fails: previous servers died while they processed it", "opcode", h.opcode, "nodeid", h.node, "deaths", deaths)
		s.metrics.takenOver.WithLabelValues("refused").Inc()
		return true, s.send(slot, errorReply(slot.ReplyBuffer(), h.unique, syscall.EIO))
	}
	s.metrics.takenOver.WithLabelValues("done afresh").Inc()
	return s.serveRequest(slot, parked, memory)
}

// lockSuspect blocks until no other suspect is being processed. The returned
// function releases the lock, which is also released after suspectTime.
func (s *Server) lockSuspect() func() {
	s.suspectMu.Lock()
	var once sync.Once
	release := func() { once.Do(s.suspectMu.Unlock) }
	timer := time.AfterFunc(s.config.waits.suspect, release)
	return func() {
		timer.Stop()
		release()
	}
}

// announceTakeover reports to the holder that the mount is served, when all
// requests of the predecessor are complete or takeoverTimeout has passed. It does
// not report when stopped is closed.
func (s *Server) announceTakeover(stopped <-chan struct{}) {
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
	case <-stopped:
	default:
		s.announce()
	}
}

// announce reports to the holder that the mount is served.
func (s *Server) announce() {
	if err := s.attachment.Serving(); err != nil {
		s.log.Warn("cannot report to the holder that the mount is served", "error", err)
	}
}

// init processes FUSE_INIT, which opens the connection, and saves request and
// reply for successors.
func (s *Server) init(slot *fusefd.Slot, request []byte) error {
	reply := s.buildReply(headerOf(request), request, slot.ReplyBuffer())
	if failedReply(reply) {
		return s.send(slot, reply)
	}
	if len(reply) >= initReplySize {
		// The kernel uses the smaller of this value and the mount's read_ahead_kb.
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

// replayInit restores the protocol state from the FUSE_INIT that a predecessor
// saved.
func (s *Server) replayInit() {
	request, reply := s.attachment.Slots.Init()
	if len(request) < inHeaderSize {
		return
	}
	// HandleRequest may modify the request.
	request = append([]byte(nil), request...)
	s.buildReply(headerOf(request), request, make([]byte, 4096))
	s.setNegotiated(reply)
}

// setNegotiated records the capabilities in the reply to FUSE_INIT.
func (s *Server) setNegotiated(reply []byte) {
	if len(reply) >= initReplySize && binary.NativeEndian.Uint32(reply[offReplyFlags:])&capInitExt != 0 {
		flags := binary.NativeEndian.Uint32(reply[offReplyFlags2:])
		s.files.notifier.expire.Store(flags&capExpireOnly != 0)
		if flags&capPassthrough != 0 {
			s.files.table.recordModes()
			s.files.passthrough.supported.Store(true)
		}
	}
	s.negotiated.Store(true)
}
