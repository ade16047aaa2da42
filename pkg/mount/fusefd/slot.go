//go:build linux

package fusefd

import (
	"sync/atomic"
	"unsafe"
)

// Slot holds one request from the moment the kernel writes it there until its
// reply is written:
//
//	Prepare → read(2) into Buffer → (work) → SetReply → write(2) → Clear
//
// The request's first word is its length, which the kernel writes. A slot is
// therefore live without an action of the server, however early the server is
// killed. The reply of a request that changes state is built in the slot and
// published by SetReply before it is written: a successor that finds it sends it
// again, which the kernel rejects if it has the reply already, and the change
// remains. A live slot without a reply means that the kernel got no reply: the
// successor must undo the change of its request and process the request again.
//
// A request that waits for a slow source is moved from its slot to a parked slot,
// so that the slot can receive other requests:
//
//	MoveTo → (work) → SetReply → write(2) → Clear
//
// MoveTo makes the parked slot live before it clears the first, so that a request
// is in at least one slot at any time; after a death between the two it is in
// both.
//
// A Slot must be used by one goroutine at a time.
type Slot struct {
	memory []byte
	// request and reply are the offsets of the two areas in memory.
	request, reply int
}

// Prepare empties the slot for the next request.
func (s *Slot) Prepare() {
	s.length().Store(0)
	s.word(offReply).Store(0)
	s.word(offDeaths).Store(0)
	s.word(offSurvivals).Store(0)
}

// Buffer returns the memory into which a request is read.
func (s *Slot) Buffer() []byte { return s.memory[s.request:s.reply:s.reply] }

// Request returns the live request, or nil if there is none. An impossible
// length counts as none.
func (s *Slot) Request() []byte {
	n := int(s.length().Load())
	if n < inHeaderSize || n > s.reply-s.request {
		return nil
	}
	return s.memory[s.request : s.request+n : s.request+n]
}

// Deaths returns the number of servers that died while they served the live
// request.
func (s *Slot) Deaths() int { return int(s.word(offDeaths).Load()) }

// Died increments the number of deaths and returns it.
func (s *Slot) Died() int { return int(s.word(offDeaths).Add(1)) }

// Survived records that this server has processed the live request for some time,
// so that the request is unlikely to be the cause of a later death: it sets the
// number of deaths to 0.
func (s *Slot) Survived() {
	s.word(offSurvivals).Add(1)
	s.word(offDeaths).Store(0)
}

// Survivals returns the number of calls of Survived for the live request.
func (s *Slot) Survivals() int { return int(s.word(offSurvivals).Load()) }

// ReplyBuffer returns the memory in which a reply is built that a successor must
// be able to send again.
func (s *Slot) ReplyBuffer() []byte { return s.memory[s.reply:] }

// SetReply publishes the first n bytes of ReplyBuffer as the reply.
func (s *Slot) SetReply(n int) {
	if n > 0 && n <= replyArea {
		s.word(offReply).Store(uint32(n))
	}
}

// Reply returns the published reply, or nil if there is none.
func (s *Slot) Reply() []byte {
	n := int(s.word(offReply).Load())
	if n == 0 || n > replyArea {
		return nil
	}
	return s.memory[s.reply : s.reply+n : s.reply+n]
}

// Clear marks the slot as free, once the reply is written or when the request
// needs none.
func (s *Slot) Clear() { s.length().Store(0) }

// MoveTo moves the live request, with its counts of deaths and survivals, to an empty slot and
// clears this one. It returns false, and moves nothing, when there is no live
// request or when it does not fit.
func (s *Slot) MoveTo(to *Slot) bool {
	request := s.Request()
	if request == nil || len(request) > len(to.Buffer()) {
		return false
	}
	to.Prepare()
	to.word(offDeaths).Store(s.word(offDeaths).Load())
	to.word(offSurvivals).Store(s.word(offSurvivals).Load())
	// The first word is the length, which makes the slot live.
	copy(to.Buffer()[4:], request[4:])
	to.length().Store(uint32(len(request)))
	s.Clear()
	return true
}

func (s *Slot) length() *atomic.Uint32 { return s.word(s.request) }

func (s *Slot) word(at int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&s.memory[at]))
}
