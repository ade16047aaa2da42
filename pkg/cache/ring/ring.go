// Package ring computes which worker owns what, by weighted rendezvous hashing
// over the names of the workers.
//
// All processes with the same ring compute the same owners, so no request is
// needed to find a location. Callers may rely on this:
//
//   - The result is deterministic on every machine: only integer arithmetic is
//     used, no order of maps and no floating point. A test holds a table of
//     placements, so that a change of the hash, which would invalidate every
//     cache, cannot go unnoticed.
//   - Names are hashed, not ids: a worker that returns with another disk owns
//     what it owned before.
//   - A worker's share is its share of the sum of the weights.
//   - When a worker joins, keys move to it only. When one leaves, only the keys
//     that it owned move. When a weight changes, no key moves between others.
package ring

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// Ring is one epoch of ownership. It is immutable and safe for concurrent use.
type Ring struct {
	epoch  uint64
	stripe int64
	// nodes are sorted by name, without duplicates.
	nodes []node
}

type node struct {
	member *commonv1.RingMember
	hash   uint64
}

// New returns the Ring of a message from the masters. A nil message has no
// members. The Ring holds the members, so the caller must not change them. Of
// members with the same name the first is used.
func New(r *commonv1.Ring) *Ring {
	out := &Ring{epoch: r.GetEpoch(), stripe: r.GetStripeSize()}
	for _, m := range r.GetMembers() {
		out.nodes = append(out.nodes, node{member: m, hash: xxhash.Sum64String(m.GetName())})
	}
	slices.SortStableFunc(out.nodes, func(a, b node) int {
		return strings.Compare(a.member.GetName(), b.member.GetName())
	})
	out.nodes = slices.CompactFunc(out.nodes, func(a, b node) bool {
		return a.member.GetName() == b.member.GetName()
	})
	return out
}

// Epoch returns the epoch of the ring; 0 is before the first.
func (r *Ring) Epoch() uint64 { return r.epoch }

// Len returns the number of members.
func (r *Ring) Len() int { return len(r.nodes) }

// Members returns the members sorted by name.
func (r *Ring) Members() []*commonv1.RingMember {
	out := make([]*commonv1.RingMember, len(r.nodes))
	for i, n := range r.nodes {
		out[i] = n.member
	}
	return out
}

// Stripe returns the number of the stripe that holds the byte at offset; 0 if
// objects are placed whole.
func (r *Ring) Stripe(offset int64) int64 {
	if r.stripe <= 0 {
		return 0
	}
	return offset / r.stripe
}

// StripeEnd returns the offset of the first byte after the stripe that holds the
// byte at offset, at most the size of the object.
func (r *Ring) StripeEnd(offset, size int64) int64 {
	if r.stripe <= 0 {
		return size
	}
	return min((r.Stripe(offset)+1)*r.stripe, size)
}

// Order returns all members, the owner of the key first, then those that would
// own it if the ones before were absent. Members of weight 0 are last. The
// caller may change the slice, but not the members.
func (r *Ring) Order(key string) []*commonv1.RingMember {
	drawn := make([]draw, len(r.nodes))
	h := xxhash.Sum64String(key)
	for i, n := range r.nodes {
		drawn[i] = draw{member: n.member, wait: wait(mix(h ^ bits.RotateLeft64(n.hash, 31) ^ n.hash*golden))}
	}
	slices.SortStableFunc(drawn, draw.compare)
	out := make([]*commonv1.RingMember, len(drawn))
	for i, d := range drawn {
		out[i] = d.member
	}
	return out
}

// draw is the random number of one member for one key. wait is exponentially
// distributed; the member with the least wait divided by its weight wins, with a
// probability equal to its share of the weights.
type draw struct {
	member *commonv1.RingMember
	wait   uint64
}

func (d draw) compare(other draw) int {
	w, v := d.member.GetWeight(), other.member.GetWeight()
	switch {
	case w == 0 && v == 0:
		w, v = 1, 1
	case w == 0:
		return 1
	case v == 0:
		return -1
	}
	// d.wait/w against other.wait/v, without rounding.
	aHigh, aLow := bits.Mul64(d.wait, v)
	bHigh, bLow := bits.Mul64(other.wait, w)
	switch {
	case aHigh != bHigh:
		return order(aHigh, bHigh)
	default:
		return order(aLow, bLow)
	}
}

func order(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

const golden = 0x9e3779b97f4a7c15

// mix spreads every bit of x over the whole word (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fraction is the number of binary places of a wait.
const fraction = 32

// wait is -log2(x / 2^64) with fraction binary places, for a uniform x. Bit by
// bit in integers, because the floating-point logarithm differs in its last
// place between processors.
func wait(x uint64) uint64 {
	if x == 0 {
		x = 1
	}
	zeros := bits.LeadingZeros64(x)
	mantissa := x << zeros // 1 <= mantissa / 2^63 < 2
	log := uint64(63 - zeros)
	for range fraction {
		// The square is in [1, 4): a factor of 2 is one more bit.
		high, _ := bits.Mul64(mantissa, mantissa)
		log <<= 1
		if high >= 1<<63 {
			log |= 1
			mantissa = high
		} else {
			mantissa = high << 1
		}
	}
	return 64<<fraction - log
}
