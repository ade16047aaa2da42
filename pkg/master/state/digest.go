package state

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
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

// positional reports whether a field holds a position in the log.
func positional(field protoreflect.FullName) bool {
	switch field {
	case "jindo.state.v1.Meta.index", "jindo.state.v1.Meta.view_index", "jindo.state.v1.Result.index":
		return true
	}
	return false
}

// canonical appends an encoding of a message that is the same in every version
// of the libraries: fields that are set, in the order of their numbers, maps in
// the order of their keys, and lengths before every value of variable length.
// Protobuf's own encoding is deterministic within one build only.
func canonical(to []byte, m protoreflect.Message) []byte {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !positional(field.FullName()) {
			fields = append(fields, field)
		}
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	to = binary.AppendUvarint(to, uint64(len(fields)))
	for _, field := range fields {
		to = binary.AppendUvarint(to, uint64(field.Number()))
		to = canonicalField(to, field, m.Get(field))
	}
	return to
}

func canonicalField(to []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) []byte {
	switch {
	case field.IsMap():
		entries := value.Map()
		var keys []protoreflect.MapKey
		entries.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys = append(keys, k)
			return true
		})
		slices.SortFunc(keys, func(a, b protoreflect.MapKey) int {
			return slices.Compare(canonicalValue(nil, field.MapKey(), a.Value()), canonicalValue(nil, field.MapKey(), b.Value()))
		})
		to = binary.AppendUvarint(to, uint64(len(keys)))
		for _, k := range keys {
			to = canonicalValue(to, field.MapKey(), k.Value())
			to = canonicalValue(to, field.MapValue(), entries.Get(k))
		}
		return to
	case field.IsList():
		list := value.List()
		to = binary.AppendUvarint(to, uint64(list.Len()))
		for i := range list.Len() {
			to = canonicalValue(to, field, list.Get(i))
		}
		return to
	}
	return canonicalValue(to, field, value)
}

func canonicalValue(to []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) []byte {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return canonical(to, value.Message())
	case protoreflect.StringKind:
		return append(binary.AppendUvarint(to, uint64(len(value.String()))), value.String()...)
	case protoreflect.BytesKind:
		return append(binary.AppendUvarint(to, uint64(len(value.Bytes()))), value.Bytes()...)
	case protoreflect.BoolKind:
		if value.Bool() {
			return append(to, 1)
		}
		return append(to, 0)
	case protoreflect.EnumKind:
		return binary.AppendVarint(to, int64(value.Enum()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return binary.BigEndian.AppendUint64(to, math.Float64bits(value.Float()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return binary.AppendUvarint(to, value.Uint())
	default:
		return binary.AppendVarint(to, value.Int())
	}
}

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
