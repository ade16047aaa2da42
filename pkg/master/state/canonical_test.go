package state

import (
	"encoding/binary"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// rangedCanonical is canonical with the library's iteration over the fields that
// are set, as earlier versions of this program encoded messages.
func rangedCanonical(to []byte, m protoreflect.Message) []byte {
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

// fill sets every field of a message, and those of its messages.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch field := fields.Get(i); {
		case field.IsMap():
			m.Mutable(field).Map().Set(protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString("value"))
		case field.IsList() && field.Message() != nil:
			fill(m.Mutable(field).List().AppendMutable().Message())
		case field.IsList():
			m.Mutable(field).List().Append(scalar(field))
		case field.Message() != nil:
			fill(m.Mutable(field).Message())
		default:
			m.Set(field, scalar(field))
		}
	}
}

func scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(field.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(field.Name()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(field.Number()))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(field.Number()))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(field.Number()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(field.Number()))
	default:
		return protoreflect.ValueOfInt64(int64(field.Number()))
	}
}

// TestEncodingIsThatOfEarlierVersions checks rows of every table with each field
// set, and with none: members of two versions must have equal digests.
func TestEncodingIsThatOfEarlierVersions(t *testing.T) {
	rows := []proto.Message{&statev1.Meta{}}
	kinds := (&statev1.Record{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range kinds.Len() {
		record := &statev1.Record{}
		rows = append(rows, record.ProtoReflect().Mutable(kinds.Get(i)).Message().Interface())
	}
	for _, row := range rows {
		m := row.ProtoReflect()
		for _, filled := range []bool{false, true} {
			if filled {
				fill(m)
			}
			if got, want := canonical(nil, m), rangedCanonical(nil, m); !slices.Equal(got, want) {
				t.Errorf("%s is encoded as %x, and was as %x", m.Descriptor().FullName(), got, want)
			}
		}
		if n := len(planOf(m.Descriptor())); n > maxFields {
			t.Errorf("%s has %d fields", m.Descriptor().FullName(), n)
		}
	}
}
