package state

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// positional reports whether a field holds a position in the log.
func positional(field protoreflect.FullName) bool {
	switch field {
	case "jindo.state.v1.Meta.index", "jindo.state.v1.Meta.view_index", "jindo.state.v1.Result.index":
		return true
	}
	return false
}

// plans holds the fields of each type of message that was encoded, by the
// descriptor of the type.
var plans sync.Map

// planOf returns the fields of a type in the order of their numbers, without the
// positional ones.
func planOf(m protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	if plan, ok := plans.Load(m); ok {
		return plan.([]protoreflect.FieldDescriptor)
	}
	var plan []protoreflect.FieldDescriptor
	fields := m.Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); !positional(field.FullName()) {
			plan = append(plan, field)
		}
	}
	slices.SortFunc(plan, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	plans.Store(m, plan)
	return plan
}

// maxFields is the number of fields of a message up to which their count is one
// byte. No message of the tables has more.
const maxFields = 127

// canonical appends an encoding of a message that is the same in every version
// of the libraries: fields that are set, in the order of their numbers, maps in
// the order of their keys, and lengths before every value of variable length.
// Protobuf's own encoding is deterministic within one build only.
func canonical(to []byte, m protoreflect.Message) []byte {
	at := len(to)
	to = append(to, 0)
	count := 0
	for _, field := range planOf(m.Descriptor()) {
		if !m.Has(field) {
			continue
		}
		count++
		to = binary.AppendUvarint(to, uint64(field.Number()))
		to = canonicalField(to, field, m.Get(field))
	}
	to[at] = byte(count) // a uvarint, because count <= maxFields
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
