//go:build linux

package fusefs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// The encoder of format 1, which this version only reads.

func (o op) flags() uint64 {
	var f uint64
	if o.dir {
		f |= flagDir
	}
	if o.stale {
		f |= flagStale
	}
	if o.direct {
		f |= flagDirect
	}
	return f
}

// appendRecord appends a frame with the changes of one request to b.
func appendRecord(b []byte, unique uint64, ops []op) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = binary.AppendUvarint(b, unique)
	for _, o := range ops {
		b = appendOp(b, o)
	}
	payload := b[start+frameHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli))
	return b
}

func appendOp(b []byte, o op) []byte {
	b = append(b, byte(o.kind))
	switch o.kind {
	case opLookup:
		b = binary.AppendUvarint(b, o.node)
		b = binary.AppendUvarint(b, o.count)
		b = binary.AppendVarint(b, o.modified)
		b = appendFile(b, o)
	case opForget:
		b = binary.AppendUvarint(b, o.node)
		b = binary.AppendUvarint(b, o.count)
	case opOpen:
		b = binary.AppendUvarint(b, o.handle)
		b = binary.AppendUvarint(b, o.node)
		b = appendFile(b, o)
	case opRelease:
		b = binary.AppendUvarint(b, o.handle)
	case opCursor:
		b = binary.AppendUvarint(b, o.handle)
		b = binary.AppendUvarint(b, uint64(len(o.names)))
		for _, name := range o.names {
			b = appendString(b, name)
		}
	case opStale:
		b = binary.AppendUvarint(b, o.node)
	}
	return b
}

func appendFile(b []byte, o op) []byte {
	b = binary.AppendUvarint(b, o.flags())
	b = appendString(b, o.path)
	if o.dir {
		return b
	}
	b = appendString(b, o.version.Mount)
	b = appendString(b, o.version.Key)
	b = appendString(b, o.version.ETag)
	return binary.AppendVarint(b, o.version.Size)
}

func encodeJournal(version uint32, session [16]byte, created time.Time, records ...[]byte) []byte {
	b := append([]byte(nil), journalMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, session[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(created.UnixNano()))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

// writeJournal writes the journal of a server of the previous version.
func writeJournal(t testing.TB, dir string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, journalName), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// drawOp draws an operation with the fields of its kind.
func drawOp(t *rapid.T) op {
	id := rapid.Uint64()
	o := op{kind: opKind(rapid.IntRange(int(opLookup), int(opStale)).Draw(t, "kind"))}
	switch o.kind {
	case opLookup:
		o.node, o.count, o.modified = id.Draw(t, "node"), id.Draw(t, "count"), rapid.Int64().Draw(t, "modified")
		o.stale = rapid.Bool().Draw(t, "stale")
		drawFile(t, &o)
	case opForget:
		o.node, o.count = id.Draw(t, "node"), id.Draw(t, "count")
	case opOpen:
		o.handle, o.node, o.direct = id.Draw(t, "handle"), id.Draw(t, "node"), rapid.Bool().Draw(t, "direct")
		drawFile(t, &o)
	case opRelease:
		o.handle = id.Draw(t, "handle")
	case opCursor:
		o.handle = id.Draw(t, "handle")
		o.names = rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "names")
	case opStale:
		o.node = id.Draw(t, "node")
	}
	return o
}

func drawFile(t *rapid.T, o *op) {
	o.path, o.dir = rapid.String().Draw(t, "path"), rapid.Bool().Draw(t, "dir")
	if !o.dir {
		o.version = reader.Version{
			Mount: rapid.String().Draw(t, "mount"), Key: rapid.String().Draw(t, "key"),
			ETag: rapid.String().Draw(t, "etag"), Size: rapid.Int64().Draw(t, "size"),
		}
	}
}

func TestJournalRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unique := rapid.Uint64().Draw(t, "unique")
		ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, 4).Draw(t, "ops")
		r := strings.NewReader(string(appendRecord(nil, unique, ops)) + "rest")
		payload, err := readFrame(r)
		if err != nil || r.Len() != len("rest") {
			t.Fatalf("readFrame: error %v, %d bytes left", err, r.Len())
		}
		gotUnique, got, err := decodeRecord(payload)
		if err != nil || gotUnique != unique || !reflect.DeepEqual(got, ops) {
			t.Fatalf("request %d with %+v was decoded as request %d with %+v, error %v", unique, ops, gotUnique, got, err)
		}
	})
}

// TestUpgrade takes over from a server of the previous version: its lookup counts,
// handles and cursors are restored, and its requests without a reply are not.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	version := reader.Version{Mount: "m", Key: "a\xff", ETag: "e", Size: 9}
	created := time.Unix(1700000000, 5)
	writeJournal(t, dir, append(encodeJournal(1, [16]byte{1}, created,
		appendRecord(nil, 2, []op{{kind: opLookup, node: 7, count: 3, path: "/a\xff", modified: 5, version: version}}),
		appendRecord(nil, 4, []op{{kind: opLookup, node: 8, count: 1, path: "/d", dir: true}, {kind: opOpen, handle: 9, node: 8, path: "/d", dir: true}}),
		appendRecord(nil, 6, []op{{kind: opCursor, handle: 9, names: []string{"x", "\xff"}}}),
		appendRecord(nil, 8, []op{{kind: opOpen, handle: 10, node: 7, path: "/a\xff", version: version, direct: true}}),
		appendRecord(nil, 10, []op{{kind: opForget, node: 7, count: 1}}),
		appendRecord(nil, 12, []op{{kind: opLookup, node: 11, count: 1, path: "/a\xff", version: reader.Version{ETag: "two"}}}),
		appendRecord(nil, 14, []op{{kind: opLookup, node: 12, count: 1, path: "/pending"}}),
		appendRecord(nil, 16, []op{{kind: opRelease, handle: 99}, {kind: opStale, node: 99}, {kind: opForget, node: 99, count: 1}}),
	), "torn"...))
	source := &counter{}
	table := reopen(t, dir, map[uint64]bool{14: true}, source)
	for range 2 {
		n, ok := table.node(7)
		if want := (node{id: 7, path: "/a\xff", modified: 5, lookups: 2, stale: true, version: version}); !ok || n != want {
			t.Errorf("node 7 is %+v, want %+v", n, want)
		}
		if n, ok := table.node(11); !ok || n.stale || n.version.ETag != "two" {
			t.Errorf("node 11 is %+v, %v", n, ok)
		}
		if _, ok := table.node(12); ok {
			t.Error("a request without a reply was restored")
		}
		if h, ok := table.handle(10); !ok || h.version != version || !h.direct || h.node != 7 {
			t.Errorf("handle 10 is %+v, %v", h, ok)
		}
		h, ok := table.handle(9)
		if !ok || !h.dir || !reflect.DeepEqual(table.sent(h), []string{"x", "\xff"}) {
			t.Errorf("handle 9 is %+v, %v", h, ok)
		}
		if !table.header.created.Equal(created) {
			t.Errorf("the mount was created at %v, want %v", table.header.created, created)
		}
		if id := source.NextID(); id <= 11 {
			t.Errorf("id %d is reused", id)
		}
		if _, err := os.Stat(filepath.Join(dir, journalName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the journal remains after its import: %v", err)
		}
		_ = table.close()
		table = reopen(t, dir, nil, source)
	}
	_ = table.close()
}

// TestUpgradeOfATruncatedJournal checks that every prefix of a journal is
// imported without an error, with the records that are complete.
func TestUpgradeOfATruncatedJournal(t *testing.T) {
	raw := encodeJournal(1, [16]byte{1}, time.Unix(1, 0))
	var ends []int
	for i := range 3 {
		raw = appendRecord(raw, uint64(i+1), []op{{kind: opLookup, node: uint64(i + 2), count: 1, path: fmt.Sprint("/", i)}})
		ends = append(ends, len(raw))
	}
	for n := range len(raw) + 1 {
		dir := t.TempDir()
		writeJournal(t, dir, raw[:n])
		table := reopen(t, dir, nil, &counter{})
		want := 0
		for _, end := range ends {
			if n >= end {
				want++
			}
		}
		if got, _, _ := table.sizes(); got != want+1 {
			t.Errorf("with %d of %d bytes: %d nodes, want %d and the root", n, len(raw), got, want)
		}
		_ = table.close()
	}
}

func TestNewerFormats(t *testing.T) {
	session := [16]byte{1}
	table := fileHeader{version: tableVersion, session: session, created: time.Unix(1, 0)}
	newer, features := table, table
	newer.version++
	features.features = 1 << 40
	for name, file := range map[string]struct {
		name string
		raw  []byte
	}{
		"newer journal":                    {journalName, encodeJournal(2, session, time.Unix(1, 0))},
		"journal with a newer operation":   {journalName, encodeJournal(1, session, time.Unix(1, 0), appendRecord(nil, 1, []op{{kind: 77}}))},
		"newer table":                      {tableName, newer.encode()},
		"table with features of a newer":   {tableName, features.encode()},
		"newer table, the copy is damaged": {tableName, append(newer.encode(), make([]byte, headerCopyAt)...)},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, file.name)
		if err := os.WriteFile(path, file.raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openTable(dir, session, nil, &counter{}, discard())
		if !errors.Is(err, errNewer) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v, want errNewer with the path", name, err)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != string(file.raw) {
			t.Errorf("%s: the file was changed, error %v", name, err)
		}
		// The file of a mount that has ended is of no use.
		other, err := openTable(dir, [16]byte{2}, nil, &counter{}, discard())
		if err != nil {
			t.Errorf("%s: a new mount: %v", name, err)
			continue
		}
		_ = other.close()
	}
}

func FuzzImport(f *testing.F) {
	head := encodeJournal(1, [16]byte{1}, time.Unix(0, 1))
	f.Add(head)
	f.Add(appendRecord(head, 1, []op{{kind: opForget, node: 1, count: 1}}))
	f.Add(appendRecord(head, 1, []op{{kind: opLookup, node: 2, count: 1, path: "/a", version: reader.Version{Mount: "m", Key: "a", ETag: "e", Size: 9}}}))
	f.Add(appendRecord(head, 1, []op{{kind: opOpen, handle: 2, node: 1, path: "/", dir: true}, {kind: opCursor, handle: 2, names: []string{"a", "b"}}, {kind: opRelease, handle: 2}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		writeJournal(t, dir, raw)
		table, err := openTable(dir, [16]byte{1}, nil, &counter{}, discard())
		if errors.Is(err, errNewer) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := table.node(rootID); !ok || !n.dir || n.path != "/" {
			t.Errorf("the root is %+v, want directory /", n)
		}
		_ = table.close()
	})
}

// FuzzDecodeRecord decodes payloads without the checksum, which a fuzzer rarely
// gets right.
func FuzzDecodeRecord(f *testing.F) {
	for _, o := range []op{
		{kind: opLookup, node: 2, count: 1, path: "/a", version: reader.Version{Mount: "m", Key: "a", ETag: "e", Size: 9}},
		{kind: opCursor, handle: 2, names: []string{"a", "b"}},
		{kind: opOpen, handle: 2, node: 1, path: "/", dir: true},
	} {
		f.Add(appendRecord(nil, 1, []op{o})[frameHead:])
	}
	f.Add([]byte{1, byte(opCursor), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		unique, ops, err := decodeRecord(payload)
		if err != nil {
			return
		}
		_, same, err := decodeRecord(appendRecord(nil, unique, ops)[frameHead:])
		if err != nil || !reflect.DeepEqual(same, ops) {
			t.Errorf("%+v was decoded as %+v, error %v", ops, same, err)
		}
	})
}
