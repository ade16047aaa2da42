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
// The request's first word is its length, which the kernel writes; so a slot
// is live without any doing of the server's, however early that is killed. A
// reply whose request changed something is built in the slot and announced by
// SetReply before it is written: a successor that finds it sends it again,
// which the kernel refuses if it has it already, and what the request changed
// stands. A live slot without a reply means that the kernel got none: what its
// request changed is to be undone and the request to be worked on afresh.
type Slot struct{ memory []byte }

// Prepare empties the slot for the next request.
func (s *Slot) Prepare() {
	s.length().Store(0)
	s.word(offReply).Store(0)
	s.word(offDeaths).Store(0)
}

// Buffer is where read(2) puts the request.
func (s *Slot) Buffer() []byte { return s.memory[page : page+requestArea : page+requestArea] }

// Request that is live in the slot, nil when there is none. A length that no
// request can have counts as none.
func (s *Slot) Request() []byte {
	n := int(s.length().Load())
	if n < inHeaderSize || n > requestArea {
		return nil
	}
	return s.memory[page : page+n : page+n]
}

// Deaths is how many servers were counted that left the live request
// unanswered.
func (s *Slot) Deaths() int { return int(s.word(offDeaths).Load()) }

// Died counts one more, and answers how many there are.
func (s *Slot) Died() int { return int(s.word(offDeaths).Add(1)) }

// ReplyBuffer is where a reply that is to be kept is built.
func (s *Slot) ReplyBuffer() []byte { return s.memory[page+requestArea:] }

// SetReply announces n bytes of ReplyBuffer as the reply.
func (s *Slot) SetReply(n int) {
	if n > 0 && n <= replyArea {
		s.word(offReply).Store(uint32(n))
	}
}

// Reply that was announced, nil when there is none.
func (s *Slot) Reply() []byte {
	n := int(s.word(offReply).Load())
	if n == 0 || n > replyArea {
		return nil
	}
	return s.memory[page+requestArea : page+requestArea+n : page+requestArea+n]
}

// Clear ends the request: its reply is written, or it needs none.
func (s *Slot) Clear() { s.length().Store(0) }

func (s *Slot) length() *atomic.Uint32 { return s.word(page) }

func (s *Slot) word(at int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&s.memory[at]))
}
