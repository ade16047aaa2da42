package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// pipe returns a snapshot as a stream.
func pipe(t testing.TB, s *Snapshot) io.Reader {
	t.Helper()
	var written bytes.Buffer
	n, err := s.WriteTo(&written)
	if err != nil || n != int64(written.Len()) {
		t.Fatalf("write snapshot: %d of %d bytes, %v", n, written.Len(), err)
	}
	return &written
}

// busy returns a state with rows in every table.
func busy(t testing.TB) *fixture {
	t.Helper()
	f := formed(t)
	f.must(by(1, mount("/data", "oss://b/")))
	f.must(by(2, mount("/more", "oss://m/")))
	f.must(by(3, register("w0", "0")))
	f.must(by(4, register("w1", "1")))
	f.must(open("t", "admin/b"))
	f.refused(of("t", "admin/b", 1, 0, invalidate("/none")), statev1.Refusal_CODE_NOT_FOUND)
	f.must(of("t", "admin/b", 2, 0, invalidate("/more")))
	f.must(replace("u", "admin/a", "s"))
	return f
}

func written(t testing.TB, f *fixture) []byte {
	t.Helper()
	raw, err := io.ReadAll(pipe(t, f.Snapshot()))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSnapshotIsTheState(t *testing.T) {
	f := busy(t)
	g := f.restored()
	if got, want := g.View().Digest(), f.View().Digest(); got != want {
		t.Errorf("restored, the digest is %s at %d, not %s at %d", got, got.Index, want, want.Index)
	}
	if !proto.Equal(g.View().Cluster(), f.View().Cluster()) {
		t.Errorf("restored, the view is %v, not %v", g.View().Cluster(), f.View().Cluster())
	}
	if !bytes.Equal(written(t, g), written(t, f)) {
		t.Error("written again, the snapshot differs")
	}
	// A stored result is preserved.
	g.unchanged(func() {
		if r := g.must(of("t", "admin/b", 2, 0, invalidate("/more"))); r.GetMount().GetEpoch() != 2 {
			t.Errorf("a repetition after the restart got %v", r)
		}
	})
}

func TestSnapshotOfNothing(t *testing.T) {
	if got, want := newFixture(t).restored().View().Digest(), newFixture(t).View().Digest(); got != want {
		t.Errorf("the digest of the empty state was %v, and is %v", want, got)
	}
}

// TestDamagedSnapshots: after any damage, the old state remains.
func TestDamagedSnapshots(t *testing.T) {
	good := written(t, busy(t))
	for name, bad := range damaged(t, good) {
		t.Run(name, func(t *testing.T) {
			f := formed(t)
			f.must(by(1, mount("/mine", "oss://mine/")))
			before := f.View().Digest()
			if err := f.Restore(bytes.NewReader(bad)); err == nil {
				t.Error("Restore succeeded")
			}
			if got := f.View().Digest(); got != before || len(f.Digests(0)) < 2 {
				t.Errorf("the state has changed from %v to %v", before, got)
			}
		})
	}
	for at := range good {
		bad := slices.Clone(good)
		bad[at] ^= 0x20
		f := newFixture(t)
		if err := f.Restore(bytes.NewReader(bad)); err == nil {
			t.Fatalf("with a bit flipped in byte %d of %d, Restore succeeded", at, len(good))
		}
	}
	for length := range good {
		if err := newFixture(t).Restore(bytes.NewReader(good[:length])); err == nil {
			t.Fatalf("truncated to %d of %d bytes, Restore succeeded", length, len(good))
		}
	}
}

func damaged(t testing.TB, good []byte) map[string][]byte {
	t.Helper()
	cluster := &statev1.Record{Row: &statev1.Record_Cluster{Cluster: &statev1.Cluster{Id: "c"}}}
	session := func(id string) *statev1.Record {
		return &statev1.Record{Row: &statev1.Record_Session{Session: &statev1.Session{Id: id}}}
	}
	on := func(path, name string) *statev1.Record {
		return &statev1.Record{Row: &statev1.Record_Mount{Mount: &commonv1.Mount{Id: path, Path: path, Name: name}}}
	}
	return map[string][]byte{
		"empty":                         nil,
		"another format":                []byte("PK\x03\x04 and so on, for a while"),
		"another version":               append([]byte("JINDOST\x02"), good[8:]...),
		"with data after it":            append(slices.Clone(good), 0),
		"two rows of one key":           forge(t, 2, cluster, cluster),
		"two mounts of one name":        forge(t, 2, on("/a", "n"), on("/b", "n")),
		"a row without key":             forge(t, 1, session("")),
		"more rows than in the header":  forge(t, 1, session("a"), session("b")),
		"fewer rows than in the header": forge(t, 2, session("a")),
		"a row of no kind":              forge(t, 1, &statev1.Record{}),
		"a huge frame":                  append([]byte(snapshotMagic+"\x01"), 0xff, 0xff, 0xff, 0xff),
		"a wrong digest":                wrongDigest(t, session("a")),
		"an unknown field":              forge(t, 1, future(t, session("a"))),
	}
}

// future adds a field that this version does not know to a row.
func future(t testing.TB, r *statev1.Record) *statev1.Record {
	t.Helper()
	raw := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	r.GetSession().ProtoReflect().SetUnknown(raw)
	return r
}

// forge writes a snapshot with a correct checksum and digest, and the given
// contents.
func forge(t testing.TB, records uint64, rows ...*statev1.Record) []byte {
	t.Helper()
	digest := hashRow(tableHead, &statev1.Meta{Index: 7})
	for _, record := range rows {
		switch row := record.GetRow().(type) {
		case *statev1.Record_Cluster:
			digest += hashRow(tableCluster, row.Cluster)
		case *statev1.Record_Session:
			digest += hashRow(tableSessions, row.Session)
		case *statev1.Record_Mount:
			digest += hashRow(tableMounts, row.Mount)
		}
	}
	return forgeWith(t, digest, records, rows...)
}

func wrongDigest(t testing.TB, row *statev1.Record) []byte { return forgeWith(t, 12345, 1, row) }

// TestForgedSnapshots checks that snapshots of forge are rejected only for
// their contents.
func TestForgedSnapshots(t *testing.T) {
	row := &statev1.Record{Row: &statev1.Record_Session{Session: &statev1.Session{Id: "a"}}}
	if err := newFixture(t).Restore(bytes.NewReader(forge(t, 1, row))); err != nil {
		t.Errorf("a valid snapshot was rejected: %v", err)
	}
}

func forgeWith(t testing.TB, digest, records uint64, rows ...*statev1.Record) []byte {
	t.Helper()
	out := []byte(snapshotMagic + "\x01")
	frame := func(m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(raw))), raw...)
	}
	frame(&statev1.Header{Meta: &statev1.Meta{Index: 7}, Records: records, Digest: digest})
	for _, row := range rows {
		frame(row)
	}
	out = append(out, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint64(out, xxhash.Sum64(out))
}

func TestReadErrorsAreNotDamage(t *testing.T) {
	broken := errors.New("connection reset")
	good := written(t, busy(t))
	r := io.MultiReader(bytes.NewReader(good[:40]), errorReader{broken})
	if err := newFixture(t).Restore(r); !errors.Is(err, broken) || errors.Is(err, errDamaged) {
		t.Errorf("Restore of a broken stream returned %v", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestUnknownEntriesStop: a member executes neither an entry that it cannot
// decode nor any entry after it. If a newer version wrote the entry, it does not
// end, because its next start would meet the entry again.
func TestUnknownEntriesStop(t *testing.T) {
	encode := func(b *statev1.Batch) []byte {
		raw, err := proto.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	deep := register("w", "i")
	deep.GetRegisterWorker().GetMember().ProtoReflect().SetUnknown(unknown)
	large := encode(&statev1.Batch{Version: FormatVersion + 1, Commands: []*statev1.Command{mount("/"+strings.Repeat("x", MaxBatchBytes), "oss://b/")}})
	for name, test := range map[string]struct {
		entry []byte
		newer bool
	}{
		"a newer format":                   {encode(&statev1.Batch{Version: FormatVersion + 1}), true},
		"a newer format with more bytes":   {large, true},
		"a batch without version":          {encode(&statev1.Batch{Commands: []*statev1.Command{form("c")}}), false},
		"a command of no kind":             {encode(&statev1.Batch{Version: 1, Commands: []*statev1.Command{form("c"), {}}}), true},
		"an unknown field in an operation": {encode(&statev1.Batch{Version: 1, Commands: []*statev1.Command{form("c"), by(1, deep)}}), true},
		"an unknown field":                 {append(encode(&statev1.Batch{Version: 1}), unknown...), true},
		"data that is not a message":       {[]byte{0xff, 0xff, 0xff}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var failures []error
			m, err := New(func(err error) { failures = append(failures, err) })
			if err != nil {
				t.Fatal(err)
			}
			before := m.View().Digest()
			failed, ok := m.Apply(1, test.entry).(error)
			if !ok {
				t.Error("the entry was applied")
			}
			if errors.Is(failed, ErrUnknown) != test.newer {
				t.Errorf("the error is %v", failed)
			}
			good, err := EncodeBatch(FormatVersion, []*statev1.Command{form("c")})
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := m.Apply(2, good).(error); !ok {
				t.Error("the next entry was applied")
			}
			want := 1
			if test.newer {
				want = 0
			}
			if len(failures) != want || m.Failed() == nil || m.View().Digest() != before {
				t.Errorf("Fatal was called %d times (%v), and the digest changed from %v to %v", len(failures), failures, before, m.View().Digest())
			}
		})
	}
}

func TestIndexesOnlyGrow(t *testing.T) {
	var failures error
	m, err := New(func(err error) { failures = err })
	if err != nil {
		t.Fatal(err)
	}
	entry, err := EncodeBatch(FormatVersion, []*statev1.Command{form("c")})
	if err != nil {
		t.Fatal(err)
	}
	m.Apply(5, entry)
	if _, ok := m.Apply(5, entry).(error); !ok || failures == nil {
		t.Error("an entry was applied twice")
	}
}

func TestEncodeBatchRefuses(t *testing.T) {
	for name, commands := range map[string][]*statev1.Command{
		"a command of no kind": {{}},
		"too many":             make([]*statev1.Command, MaxBatch+1),
		"too much":             {by(1, mount("/"+string(bytes.Repeat([]byte{'x'}, MaxBatchBytes)), "oss://b/"))},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := EncodeBatch(FormatVersion, commands); err == nil {
				t.Error("EncodeBatch succeeded")
			}
		})
	}
}

// TestDigestLeavesPositionsOut compares the names in positional with the
// schema.
func TestDigestLeavesPositionsOut(t *testing.T) {
	for name, pair := range map[string][2]proto.Message{
		"Meta.index":      {&statev1.Meta{Index: 1}, &statev1.Meta{Index: 2}},
		"Meta.view_index": {&statev1.Meta{ViewIndex: 1}, &statev1.Meta{ViewIndex: 2}},
		"Result.index":    {&statev1.Result{Index: 1}, &statev1.Result{Index: 2}},
	} {
		if hashRow("x", pair[0]) != hashRow("x", pair[1]) {
			t.Errorf("the digest depends on %s", name)
		}
	}
	for name, pair := range map[string][2]proto.Message{
		"clock":         {&statev1.Meta{Clock: 1}, &statev1.Meta{Clock: 2}},
		"text":          {wrapperspb.String("a"), wrapperspb.String("b")},
		"options":       {&commonv1.Mount{Options: map[string]string{"a": "b"}}, &commonv1.Mount{Options: map[string]string{"a": "c"}}},
		"one more":      {&commonv1.Ring{Members: []*commonv1.RingMember{{}}}, &commonv1.Ring{Members: []*commonv1.RingMember{{}, {}}}},
		"read only":     {&commonv1.Mount{ReadOnly: true}, &commonv1.Mount{}},
		"another field": {&commonv1.Mount{Name: "x"}, &commonv1.Mount{Path: "x"}},
		"bytes":         {wrapperspb.Bytes([]byte{1}), wrapperspb.Bytes([]byte{2})},
		"floats":        {wrapperspb.Double(1), wrapperspb.Double(2)},
	} {
		if hashRow("x", pair[0]) == hashRow("x", pair[1]) {
			t.Errorf("the digest does not depend on %s", name)
		}
	}
}
