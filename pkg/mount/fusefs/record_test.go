//go:build linux

package fusefs

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

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

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unique := rapid.Uint64().Draw(t, "unique")
		ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, 4).Draw(t, "ops")
		raw := append(appendRecord(nil, unique, ops), "rest"...)
		gotUnique, got, rest, err := nextRecord(raw)
		if err != nil || gotUnique != unique || !reflect.DeepEqual(got, ops) || string(rest) != "rest" {
			t.Fatalf("request %d with %+v was decoded as request %d with %+v, rest %q, error %v", unique, ops, gotUnique, got, rest, err)
		}
	})
}

func TestDamagedRecords(t *testing.T) {
	whole := appendRecord(nil, 7, []op{{kind: opForget, node: 3, count: 1}})
	for n := range whole {
		if _, _, _, err := nextRecord(whole[:n]); !errors.Is(err, errTorn) {
			t.Errorf("truncated to %d bytes: got error %v, want errTorn", n, err)
		}
		if n < 4 {
			continue // bytes of the length, of which the CRC may not detect every change
		}
		flipped := append([]byte(nil), whole...)
		flipped[n] ^= 1
		if _, _, _, err := nextRecord(flipped); !errors.Is(err, errTorn) {
			t.Errorf("with a flipped bit in byte %d: got error %v, want errTorn", n, err)
		}
	}
}

func FuzzNextRecord(f *testing.F) {
	f.Add(appendRecord(nil, 1, []op{{kind: opLookup, node: 2, count: 1, path: "/a", version: reader.Version{Mount: "m", Key: "a", ETag: "e", Size: 9}}}))
	f.Add(appendRecord(nil, 1, []op{{kind: opCursor, handle: 2, names: []string{"a", "b"}}, {kind: opRelease, handle: 2}}))
	f.Add(appendRecord(nil, 1, []op{{kind: opOpen, handle: 2, node: 1, path: "/", dir: true}}))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		unique, ops, _, err := nextRecord(raw)
		if err != nil {
			return
		}
		again, same, _, err := nextRecord(appendRecord(nil, unique, ops))
		if err != nil || again != unique || !reflect.DeepEqual(same, ops) {
			t.Errorf("%+v was decoded as %+v, error %v", ops, same, err)
		}
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
