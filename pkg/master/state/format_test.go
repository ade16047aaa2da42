package state

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// formats returns the format in which each field of an entry was added, from
// testdata/formats.txt. A field that is added to the messages has to be added there,
// with a new format, and to what EncodeBatch leaves out for older ones.
func formats(t *testing.T) map[string]uint32 {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "formats.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	since := map[string]uint32{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, number, _ := strings.Cut(lines.Text(), " ")
		format, err := strconv.ParseUint(number, 10, 32)
		if err != nil || since[name] != 0 {
			t.Fatalf("the line %q: %v", lines.Text(), err)
		}
		since[name] = uint32(format)
	}
	return since
}

// everyField calls visit for each field that a message can have, in itself and below.
func everyField(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, visit func(protoreflect.FieldDescriptor)) {
	if seen[m.FullName()] {
		return
	}
	seen[m.FullName()] = true
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		visit(f)
		if f.Message() != nil && !f.IsMap() {
			everyField(f.Message(), seen, visit)
		}
	}
}

// setFields returns the names of the fields that a message has, in itself and below.
func setFields(m protoreflect.Message, into map[string]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		into[string(f.FullName())] = true
		switch {
		case f.Message() == nil, f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				setFields(v.List().Get(i).Message(), into)
			}
		default:
			setFields(v.Message(), into)
		}
		return true
	})
}

// everyCommand returns one command of each operation, with every field.
func everyCommand() []*statev1.Command {
	var all []*statev1.Command
	operations := (&statev1.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("operation").Fields()
	for i := range operations.Len() {
		c := &statev1.Command{}
		fill(c.ProtoReflect())
		operation := c.ProtoReflect().NewField(operations.Get(i))
		fill(operation.Message())
		c.ProtoReflect().Set(operations.Get(i), operation)
		all = append(all, c)
	}
	return all
}

// Every field of an entry has a format, and none is newer than the entries that this
// version writes.
func TestEveryFieldHasAFormat(t *testing.T) {
	since := formats(t)
	left := maps.Clone(since)
	everyField((&statev1.Batch{}).ProtoReflect().Descriptor(), map[protoreflect.FullName]bool{}, func(f protoreflect.FieldDescriptor) {
		name := string(f.FullName())
		if since[name] == 0 {
			t.Errorf("%s has no format: members of older versions do not know it, so it needs a new FormatVersion; add it to testdata/formats.txt and leave it out of older formats in EncodeBatch", name)
		}
		delete(left, name)
	})
	for name := range left {
		t.Errorf("%s has a format and does not exist: a field is never removed, because entries may have it", name)
	}
	if newest := slices.Max(slices.Collect(maps.Values(since))); newest != FormatVersion {
		t.Errorf("the newest field has format %d, FormatVersion is %d", newest, FormatVersion)
	}
}

// An entry in a format has no field that a member of that format does not know: a
// command is written without it, or is an error.
func TestOlderFormatsHaveNoNewerFields(t *testing.T) {
	since := formats(t)
	for format := uint32(1); format <= FormatVersion; format++ {
		written := 0
		for _, c := range everyCommand() {
			before := proto.CloneOf(c)
			entry, err := EncodeBatch(format, []*statev1.Command{c})
			if !proto.Equal(before, c) {
				t.Errorf("format %d: the command of the caller was changed", format)
			}
			if err != nil {
				continue
			}
			written++
			batch := &statev1.Batch{}
			if err := proto.Unmarshal(entry, batch); err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			setFields(batch.ProtoReflect(), found)
			for name := range found {
				if since[name] > format {
					t.Errorf("an entry of format %d has %s, which is known since format %d", format, name, since[name])
				}
			}
			if batch.GetVersion() != format {
				t.Errorf("an entry of format %d says %d", format, batch.GetVersion())
			}
		}
		if written == 0 || format == FormatVersion && written != len(everyCommand()) {
			t.Errorf("format %d: %d commands were written", format, written)
		}
	}
}

// The state that older formats lead to has no field that their members do not know:
// otherwise they could not read a snapshot of a newer member.
func TestOlderFormatsLeadToOlderRows(t *testing.T) {
	rowsSince := map[string]uint32{"jindo.state.v1.Worker.used": FormatUses}
	f := formed(t)
	f.must(by(1, register("w", "id")))
	f.must(by(2, mount("/data", "oss://b/")))
	f.must(by(3, invalidate("/data")))
	f.must(replace("r", "admin/a", "s"))
	txn := f.Snapshot().db.Txn(false)
	for _, table := range dataTables() {
		rows, err := txn.Get(table, indexID)
		if err != nil {
			t.Fatal(err)
		}
		for raw := rows.Next(); raw != nil; raw = rows.Next() {
			record, err := recordOf(raw)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			setFields(record.ProtoReflect(), found)
			for name := range found {
				if rowsSince[name] > 1 {
					t.Errorf("a row of format 1 has %s, which is known since format %d", name, rowsSince[name])
				}
			}
		}
	}
}
