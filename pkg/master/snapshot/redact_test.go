package snapshot

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// secrets fills fields with strings that all contain the word "secret", and differ.
type secrets int

func (s *secrets) next() string {
	*s++
	return fmt.Sprintf("secret%d/dir-secret%d", *s, *s)
}

// fill sets every string, list and map that the schema of a message has, and of the
// messages in it.
func (s *secrets) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsMap():
			s.fillMap(m.Mutable(field).Map(), field)
		case field.IsList():
			list := m.Mutable(field).List()
			list.Truncate(0)
			list.Append(s.value(field, list.NewElement))
		case field.Kind() == protoreflect.MessageKind:
			s.fill(m.Mutable(field).Message())
		case field.Kind() == protoreflect.StringKind, field.Kind() == protoreflect.BytesKind:
			m.Set(field, s.value(field, nil))
		}
	}
}

func (s *secrets) fillMap(entries protoreflect.Map, field protoreflect.FieldDescriptor) {
	entries.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		entries.Clear(key)
		return true
	})
	entries.Set(s.value(field.MapKey(), nil).MapKey(), s.value(field.MapValue(), entries.NewValue))
}

func (s *secrets) value(field protoreflect.FieldDescriptor, empty func() protoreflect.Value) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s.next())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(s.next()))
	case protoreflect.MessageKind:
		value := empty()
		s.fill(value.Message())
		return value
	}
	return field.Default()
}

// everything returns a state in which every field of every table has a string, and some
// strings are the same, and its header.
func everything(t *testing.T) (*state.Machine, Header) {
	t.Helper()
	_, header, machine := saved(t)
	member := &commonv1.RingMember{Name: "w", Id: "disk", Host: "host", Port: 1, Weight: 2}
	apply(t, machine, 4, &statev1.Command{
		Request:   &statev1.Request{Session: "s", Sequence: 2, Owner: "admin/a"},
		Operation: &statev1.Command_RegisterWorker{RegisterWorker: &statev1.RegisterWorker{Member: member}},
	})
	var s secrets
	tables := map[string]int{}
	machine, err := machine.Rewrite(func(row proto.Message) bool {
		s.fill(row.ProtoReflect())
		tables[string(row.ProtoReflect().Descriptor().Name())]++
		switch row := row.(type) {
		case *commonv1.Mount:
			row.Uri = "oss://" + row.GetUri()
			row.Options["password-secret"] = "the-shared-secret"
		case *statev1.Session:
			row.Owner = "worker/the-shared-secret"
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	// A new table needs a row here.
	rows := (&statev1.Record{}).ProtoReflect().Descriptor().Fields()
	if len(tables) != rows.Len()+1 {
		t.Fatalf("the state has rows of %v, and a record has %d kinds", tables, rows.Len())
	}
	fillStruct(reflect.ValueOf(&header).Elem(), &s)
	header.ClusterID, header.Index, header.Program = machine.View().ClusterID(), machine.View().Index(), "v1.2.3"
	header.Members[0].ID, header.Redacted = "master-secret-0123456789abcdef", false
	return machine, header
}

// fillStruct sets every string of a structure.
func fillStruct(v reflect.Value, s *secrets) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.String:
		v.SetString(s.next())
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillStruct(v.Index(0), s)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fillStruct(v.Field(i), s)
		}
	case v.Kind() != reflect.Uint64:
		panic("no value for a " + v.Type().String())
	}
}

// leaves returns the strings of a state, with how often each occurs, and all other values
// with their fields, sorted.
func leaves(t *testing.T, m *state.Machine) (texts map[string]int, others []string) {
	t.Helper()
	texts = map[string]int{}
	var walk func(protoreflect.Message)
	leaf := func(field protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch field.Kind() {
		case protoreflect.StringKind:
			texts[v.String()]++
		case protoreflect.BytesKind:
			texts[string(v.Bytes())]++
		case protoreflect.MessageKind:
			walk(v.Message())
		default:
			others = append(others, fmt.Sprintf("%s=%v", field.FullName(), v))
		}
	}
	walk = func(m protoreflect.Message) {
		m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case field.IsMap():
				v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
					leaf(field.MapKey(), key.Value())
					leaf(field.MapValue(), value)
					return true
				})
			case field.IsList():
				for i := range v.List().Len() {
					leaf(field, v.List().Get(i))
				}
			default:
				leaf(field, v)
			}
			return true
		})
	}
	if _, err := m.Rewrite(func(row proto.Message) bool {
		walk(row.ProtoReflect())
		return true
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(others)
	return texts, others
}

// TestRedact: no string of any field remains, all the rest does, and strings are equal
// where they were. Fields that are added to the schema are filled by the test.
func TestRedact(t *testing.T) {
	machine, header := everything(t)
	var plain, redacted bytes.Buffer
	if err := Write(&plain, header, machine.Snapshot()); err != nil {
		t.Fatal(err)
	}
	content, err := Read(&plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := Redact(&redacted, content); err != nil {
		t.Fatal(err)
	}
	if at := bytes.Index(redacted.Bytes(), []byte("secret")); at >= 0 {
		t.Fatalf("a string remains: %q", redacted.Bytes()[at:min(at+40, redacted.Len())])
	}
	got, err := Read(bytes.NewReader(redacted.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Redacted || got.Index != header.Index || got.Term != header.Term || !got.Confirmed || !got.Time.Equal(header.Time) || got.Program != "v1.2.3" || !got.Members[0].Voter {
		t.Errorf("the header is %+v", got.Header)
	}
	texts, others := leaves(t, machine)
	newTexts, newOthers := leaves(t, got.State)
	if !slices.Equal(others, newOthers) {
		t.Errorf("numbers were %v, and are %v", others, newOthers)
	}
	if a, b := slices.Sorted(maps.Values(texts)), slices.Sorted(maps.Values(newTexts)); !slices.Equal(a, b) {
		t.Errorf("equal strings occurred %v times, and now %v times", a, b)
	}
	mount := got.State.View().Cluster().GetMounts()[0]
	sessions := got.State.View().Sessions()
	if !strings.HasPrefix(mount.GetUri(), "oss://r") || strings.Count(mount.GetPath(), "/") != 1 {
		t.Errorf("the mount is %v", mount)
	}
	if len(sessions) != 1 || !strings.HasPrefix(sessions[0].GetOwner(), "worker/r") {
		t.Errorf("the sessions are %v", sessions)
	}
}

// TestTokensAreNotComparable between files, so that they cannot be computed from a guess.
func TestTokensAreNotComparable(t *testing.T) {
	file, _, _ := saved(t)
	seen := map[string]bool{}
	for range 2 {
		content, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var redacted bytes.Buffer
		if err := Redact(&redacted, content); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&redacted)
		if err != nil {
			t.Fatal(err)
		}
		texts, _ := leaves(t, again.State)
		for text := range texts {
			for part := range strings.SplitSeq(text, "/") {
				if part != "" && part != "oss:" && part != "admin" && seen[part] {
					t.Errorf("%q is in two files", part)
				}
			}
		}
		for text := range texts {
			for part := range strings.SplitSeq(text, "/") {
				seen[part] = true
			}
		}
	}
}

// TestKeptWordsAreOfFields that the schema has.
func TestKeptWordsAreOfFields(t *testing.T) {
	for _, name := range []protoreflect.FullName{"jindo.common.v1.Mount.uri", "jindo.state.v1.Session.owner"} {
		if len(keptWords(name)) == 0 {
			t.Errorf("%s keeps no words", name)
		}
		if _, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
