package state

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// anyCommand draws names from a small set, so that commands refer to the same
// objects.
func anyCommand() *rapid.Generator[*statev1.Command] {
	paths := rapid.SampledFrom([]string{"/a", "/b", "/c"})
	uris := rapid.SampledFrom([]string{"oss://x/", "oss://y/"})
	names := rapid.SampledFrom([]string{"w0", "w1", "w2"})
	ids := rapid.SampledFrom([]string{"0", "1", "2", "3"})
	sessions := rapid.SampledFrom([]string{"s", "t", "u"})
	owners := rapid.SampledFrom([]string{"admin/a", "admin/b"})
	return rapid.Custom(func(t *rapid.T) *statev1.Command {
		var c *statev1.Command
		switch rapid.IntRange(0, 13).Draw(t, "operation") {
		case 0:
			c = form(rapid.SampledFrom([]string{"c", "d"}).Draw(t, "cluster"))
		case 1:
			c = open(sessions.Draw(t, "session"), owners.Draw(t, "owner"))
		case 2:
			c = replace(sessions.Draw(t, "session"), owners.Draw(t, "owner"), sessions.Draw(t, "replaced"))
		case 3:
			c = expire(0, sessions.Draw(t, "session"), sessions.Draw(t, "another"))
		case 4:
			c = remove(names.Draw(t, "name"), ids.Draw(t, "id"))
		case 5, 6:
			c = register(names.Draw(t, "name"), ids.Draw(t, "id"))
		case 7:
			c = unmount(paths.Draw(t, "path"))
		case 12:
			c = renew(sessions.Draw(t, "session"), owners.Draw(t, "owner"))
		case 13:
			c = expiry(0, sessions.Draw(t, "session"), rapid.Int64Range(0, 5*ttl).Draw(t, "used"))
		case 8, 9:
			c = mount(paths.Draw(t, "path"), uris.Draw(t, "uri"))
		default:
			c = invalidate(paths.Draw(t, "path"))
		}
		if needsSession(Operation(c)) && rapid.IntRange(0, 9).Draw(t, "has request") > 0 {
			sequence := rapid.Uint64Range(0, 12).Draw(t, "sequence")
			of(sessions.Draw(t, "of"), owners.Draw(t, "by"), sequence, rapid.Uint64Range(0, 12).Draw(t, "acknowledged"), c)
		}
		c.Time = rapid.Int64Range(0, 5*ttl).Draw(t, "time")
		return c
	})
}

// randomFixture returns a cluster with open sessions, so that most random
// commands have an effect.
func randomFixture(t testing.TB) *fixture {
	f := newFixture(t)
	f.format = FormatVersion
	f.batch(form("c"))
	f.batch(open("s", "admin/a"), open("t", "admin/b"), open("u", "admin/a"))
	return f
}

// sequenced sets the next sequence of the session in about half of the client
// commands, because long runs of random sequences would be nothing but gaps.
func sequenced(t *rapid.T, commands []*statev1.Command) {
	last := map[string]uint64{}
	owner := map[string]string{"s": "admin/a", "t": "admin/b", "u": "admin/a"}
	for _, c := range commands {
		r := c.GetRequest()
		if r == nil || rapid.IntRange(0, 3).Draw(t, "as drawn") == 0 {
			continue
		}
		last[r.GetSession()]++
		r.Sequence, r.Owner = last[r.GetSession()], owner[r.GetSession()]
		r.Acknowledged = min(r.GetAcknowledged(), r.GetSequence()-1)
	}
}

// TestSnapshotAnywhereIsTheLog: applying a log gives the same state as
// restoring a snapshot taken after any part of it and applying the rest,
// however the commands are batched, and all digests on the way are equal.
func TestSnapshotAnywhereIsTheLog(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		commands := rapid.SliceOfN(anyCommand(), 1, 60).Draw(r, "commands")
		sequenced(r, commands)
		one, batched := randomFixture(t), randomFixture(t)
		cut := rapid.IntRange(0, len(commands)).Draw(r, "cut")
		var restarted *fixture
		var results, inBatches []*statev1.Result
		for i, c := range commands {
			if i == cut {
				restarted = one.restored()
			}
			results = append(results, one.batch(clone(c))...)
			if restarted != nil {
				if got := restarted.batch(clone(c))[0]; !proto.Equal(got, results[i]) {
					r.Fatalf("restarted, command %d: got %v, want %v", i, got, results[i])
				}
			}
		}
		if restarted == nil {
			restarted = one.restored()
		}
		for rest := commands; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(r, "batch")
			inBatches = append(inBatches, batched.batch(rest[:n]...)...)
			rest = rest[n:]
		}
		if got, want := restarted.View().Digest(), one.View().Digest(); got != want {
			r.Fatalf("restarted, the digest is %v, not %v", got, want)
		}
		if got, want := batched.View().Digest(), one.View().Digest(); got.Sum != want.Sum {
			r.Fatalf("in batches, the digest is %v, not %v", got, want)
		}
		for i := range results {
			a, b := clone(results[i]), clone(inBatches[i])
			a.Index, b.Index = 0, 0
			if !proto.Equal(a, b) {
				r.Fatalf("in batches, command %d: got %v, want %v", i, b, a)
			}
		}
		if !bytes.Equal(written(t, restarted), written(t, one)) {
			r.Fatal("restarted, the snapshot differs")
		}
		recount(r, one)
	})
}

// recount computes the digest and the counts from the rows alone.
func recount(r *rapid.T, f *fixture) {
	view := f.View()
	var sum uint64
	for _, table := range dataTables() {
		rows, err := view.txn.Get(table, indexID)
		if err != nil {
			r.Fatal(err)
		}
		n := 0
		for raw := rows.Next(); raw != nil; raw = rows.Next() {
			sum += hashRow(table, raw.(proto.Message))
			n++
		}
		if n != view.head.rows[table] {
			r.Fatalf("%s has %d rows, but the count is %d", table, n, view.head.rows[table])
		}
	}
	if sum != view.head.sum {
		r.Fatalf("the sum of the rows is %016x, but the stored sum is %016x", sum, view.head.sum)
	}
}

// TestRepetitionsChangeNothing: after any history, a repeated request returns
// its result again and executes nothing.
func TestRepetitionsChangeNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		commands := rapid.SliceOfN(anyCommand(), 1, 40).Draw(r, "commands")
		sequenced(r, commands)
		f := randomFixture(t)
		type executed struct {
			command *statev1.Command
			result  *statev1.Result
		}
		var taken []executed
		for _, c := range commands {
			result := f.batch(clone(c))[0]
			if code := result.GetRefusal().GetCode(); c.GetRequest() != nil && (code == 0 || code >= statev1.Refusal_CODE_NOT_FOUND) {
				taken = append(taken, executed{c, result})
			}
		}
		for _, a := range taken {
			before := f.View().Digest()
			got := f.batch(clone(a.command))[0]
			switch got.GetRefusal().GetCode() {
			case statev1.Refusal_CODE_UNKNOWN_SESSION, statev1.Refusal_CODE_FORGOTTEN:
				// The session has ended, or the result was acknowledged.
			case statev1.Refusal_CODE_GAP, statev1.Refusal_CODE_REUSED:
				// The session was dropped and its id used again: ids are
				// random, and only tests repeat them.
			default:
				if !proto.Equal(got, a.result) {
					r.Fatalf("%v: got %v, and again %v", a.command, a.result, got)
				}
			}
			if after := f.View().Digest(); after.Sum != before.Sum {
				r.Fatalf("the repetition of %v changed the state", a.command)
			}
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	for _, commands := range [][]*statev1.Command{
		nil,
		{form("c")},
		{form("c"), open("s", "admin/a"), by(1, mount("/d", "oss://b/")), by(2, invalidate("/d"))},
		{by(1, register("w", "0")), remove("w", ""), expire(1, "s")},
	} {
		entry, err := EncodeBatch(FormatVersion, commands)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(entry)
	}
	f.Add([]byte{0x08, 0x01, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, entry []byte) {
		batch, err := DecodeBatch(entry)
		if err != nil {
			return
		}
		again, err := EncodeBatch(batch.GetVersion(), batch.GetCommands())
		if err != nil {
			t.Fatalf("a decoded batch cannot be encoded: %v", err)
		}
		if back, err := DecodeBatch(again); err != nil || !proto.Equal(back, batch) {
			t.Fatalf("encoded and decoded, %v is %v, %v", batch, back, err)
		}
		one, other := randomFixture(t), randomFixture(t)
		one.Apply(10, entry)
		other.Apply(10, again)
		if one.View().Digest() != other.View().Digest() {
			t.Fatal("two members have different states")
		}
		if got := one.restored().View().Digest(); got != one.View().Digest() {
			t.Fatal("an applied state cannot be restored")
		}
	})
}

func FuzzRestore(f *testing.F) {
	good := written(f, busy(f))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(written(f, newFixture(f)))
	for _, bad := range damaged(f, good) {
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		// With a correct checksum, most of the damaged data is decoded.
		if end := len(raw) - 8; end > 0 {
			whole := binary.BigEndian.AppendUint64(bytes.Clone(raw[:end]), xxhash.Sum64(raw[:end]))
			_ = newFixture(t).Restore(bytes.NewReader(whole))
		}
		m := newFixture(t)
		if err := m.Restore(bytes.NewReader(raw)); err != nil {
			return
		}
		if got := m.restored().View().Digest(); got != m.View().Digest() {
			t.Fatal("a restored state cannot be restored again")
		}
		m.index = m.View().Index()
	})
}
