package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// HeldPath is the URL path from which a worker gets the [Held] of another one.
const HeldPath = "/v1/held"

const (
	// heldMagic is the start of an encoded Held, with the version of its format.
	heldMagic = "JINDOHL1"
	// heldBits is the number of bits for each version, and heldHashes that of hash
	// functions: one version in 120 that is not held seems to be.
	heldBits, heldHashes = 10, 7
	// maxHeldBytes bounds the filter: 13 million versions.
	maxHeldBytes = 16 << 20
)

// Held is the set of the versions of which a worker has bytes, as a Bloom filter. A
// version that is not in it was not held when it was made.
type Held struct{ bits []uint64 }

// NewHeld returns an empty set for about n versions. With more it contains others
// more often.
func NewHeld(n int) *Held {
	words := min((n*heldBits+63)/64, maxHeldBytes/8)
	return &Held{bits: make([]uint64, words)}
}

// Add adds a version by its hash, of which the first 16 bytes are used.
func (h *Held) Add(hash [32]byte) {
	h.each(hash, func(word int, bit uint64) bool {
		h.bits[word] |= bit
		return true
	})
}

// Empty reports whether nothing was held.
func (h *Held) Empty() bool {
	return !slices.ContainsFunc(h.bits, func(word uint64) bool { return word != 0 })
}

// Contains reports whether a version may be held.
func (h *Held) Contains(hash [32]byte) bool {
	if len(h.bits) == 0 {
		return false
	}
	return h.each(hash, func(word int, bit uint64) bool { return h.bits[word]&bit != 0 })
}

// each calls f for the bits of a hash until it returns false, and reports whether it
// never did.
func (h *Held) each(hash [32]byte, f func(word int, bit uint64) bool) bool {
	a, b := binary.LittleEndian.Uint64(hash[0:]), binary.LittleEndian.Uint64(hash[8:])|1
	size := uint64(len(h.bits)) * 64
	for i := range uint64(heldHashes) {
		at := (a + i*b) % size
		if !f(int(at/64), 1<<(at%64)) {
			return false
		}
	}
	return true
}

// Encode returns the body of a response: the magic string, the number of words as
// u32, the words, and the crc32c of all before, in little endian.
func (h *Held) Encode() []byte {
	b := make([]byte, 0, len(heldMagic)+8+8*len(h.bits))
	b = append(b, heldMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.bits)))
	for _, word := range h.bits {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// ReadHeld decodes the body of a response.
func ReadHeld(r io.Reader) (*Held, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxHeldBytes+64))
	if err != nil {
		return nil, fmt.Errorf("read the held versions: %w", err)
	}
	head := len(heldMagic) + 4
	if len(b) < head+4 || string(b[:len(heldMagic)]) != heldMagic {
		return nil, errors.New("read the held versions: unknown format")
	}
	words := int(binary.LittleEndian.Uint32(b[len(heldMagic):]))
	if len(b) != head+8*words+4 ||
		crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, errors.New("read the held versions: the response is damaged")
	}
	h := &Held{bits: make([]uint64, words)}
	for i := range h.bits {
		h.bits[i] = binary.LittleEndian.Uint64(b[head+8*i:])
	}
	return h, nil
}
