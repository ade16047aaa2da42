package state

import (
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"
)

// DigestsKept is the number of last indexes whose digests are kept.
const DigestsKept = 1024

// Digest is the digest of the state right after the entry at an index.
type Digest struct {
	Index uint64
	Sum   uint64
}

// String returns the sum in hexadecimal, as people and members compare it.
func (d Digest) String() string { return fmt.Sprintf("%016x", d.Sum) }

// hashRow returns the hash of a row of a table.
func hashRow(table string, row proto.Message) uint64 {
	encoded := append(make([]byte, 0, 256), table...)
	return xxhash.Sum64(canonical(append(encoded, 0), row.ProtoReflect()))
}

// digest returns the digest of the state: of all rows and of the metadata.
func (h *head) digest() uint64 { return h.sum + hashRow(tableHead, h.meta) }

// history holds the digests of the last indexes. It is safe for concurrent use.
type history struct {
	mu sync.Mutex
	// ring holds the last DigestsKept digests; next is the position of the next
	// one.
	ring []Digest
	next int
}

func (h *history) add(d Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) < DigestsKept {
		h.ring = append(h.ring, d)
		return
	}
	h.ring[h.next] = d
	h.next = (h.next + 1) % DigestsKept
}

func (h *history) reset(d Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring, h.next = []Digest{d}, 0
}

// newest returns the newest digests first, at most n; n <= 0 means all.
func (h *history) newest(n int) []Digest {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n <= 0 || n > len(h.ring) {
		n = len(h.ring)
	}
	out := make([]Digest, 0, n)
	for i := range n {
		at := h.next - 1 - i
		out = append(out, h.ring[(at+2*len(h.ring))%len(h.ring)])
	}
	return out
}

var _ fmt.Stringer = Digest{}
