package consensus

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// recorded is the log of a member's directory, open with its tail record.
type recorded struct{ *failStopDisk }

func openRecorded(t *testing.T, h memberDir, i identity) *recorded {
	t.Helper()
	store, err := openDisk(h.log())
	if err != nil {
		t.Fatal(err)
	}
	g := &failStopDisk{disk: store, path: h.log(), timeout: time.Minute, appends: &durations{}, fail: func(err error) { t.Error(err) }}
	if g.tail, err = openTail(h.tail(), i.ID); err != nil {
		t.Fatal(err)
	}
	if err := g.bounds(); err != nil {
		t.Fatal(err)
	}
	r := &recorded{g}
	t.Cleanup(r.close)
	return r
}

func (r *recorded) close() { _ = errors.Join(r.disk.Close(), r.tail.close()) }

// filledDir returns a directory with entries 1 to 20 of term 1, in term 3, with a
// vote in term 3.
func filledDir(t *testing.T) (memberDir, identity) {
	t.Helper()
	h, i := newDir(t)
	r := openRecorded(t, h, i)
	for at := uint64(1); at <= 20; at++ {
		if err := r.StoreLogs(entries(at, at)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(r.SetUint64(keyTerm, 3), r.SetUint64(keyVoteTerm, 3), r.Set(keyCandidate, []byte("m-1")))
	if err != nil {
		t.Fatal(err)
	}
	r.close()
	return h, i
}

// expectDamage fails the test unless a start finds damage with a text.
func expectDamage(t *testing.T, h memberDir, want string) {
	t.Helper()
	_, err := h.open("m-0", "c1")
	var spoiled *DamageError
	if !errors.As(err, &spoiled) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want damage with %q", err, want)
	}
}

func expectIntact(t *testing.T, h memberDir, want identity) provenDir {
	t.Helper()
	proven, err := h.open("m-0", "c1")
	if err != nil || proven.identity.ID != want.ID {
		t.Fatalf("got %+v, %v", proven, err)
	}
	return proven
}

// withoutTail changes the log's file behind the back of its record, as damage
// that is consistent in itself does.
func withoutTail(t *testing.T, h memberDir, change func(g *failStopDisk)) {
	t.Helper()
	store, err := openDisk(h.log())
	if err != nil {
		t.Fatal(err)
	}
	g := &failStopDisk{disk: store, path: h.log(), timeout: time.Minute, appends: &durations{}, fail: func(err error) { t.Error(err) }}
	if err := g.bounds(); err != nil {
		t.Fatal(err)
	}
	change(g)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestConsistentLossIsNoticed: every change leaves a log that is correct in
// itself, and that an old disk could have had.
func TestConsistentLossIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(g *failStopDisk)
		want   string
	}{
		"the newest half":  {func(g *failStopDisk) { _ = g.DeleteRange(11, 20) }, "acknowledged entries up to 20"},
		"every entry":      {func(g *failStopDisk) { _ = g.DeleteRange(1, 20) }, "acknowledged entries up to 20"},
		"the oldest entry": {func(g *failStopDisk) { _ = g.DeleteRange(1, 1) }, "begins at entry 2"},
		"an entry within":  {func(g *failStopDisk) { _ = g.disk.DeleteRange(7, 8) }, "entries 7 to 8 are missing"},
		"a damaged entry": {func(g *failStopDisk) {
			_ = g.disk.StoreLog(&raft.Log{Index: 9, Term: 1, Extensions: []byte{1, 2, 3, 4, 5}})
		}, "log entry 9"},
		"an unreadable one":  {func(g *failStopDisk) { _ = g.disk.StoreLog(&raft.Log{Index: 10, Term: 1}) }, "log entry 10"},
		"another last entry": {func(g *failStopDisk) { _ = g.StoreLog(&raft.Log{Index: 20, Term: 1, Data: []byte("other")}) }, "not the one"},
		"a vote of no term":  {func(g *failStopDisk) { _ = g.SetUint64(keyVoteTerm, 4) }, "voted in term 4"},
		"the start": {func(g *failStopDisk) {
			_ = g.disk.Set(keyIncarnation, append(sealValue(keyIncarnation, []byte(`{"start":3}`)), 0))
		}, "Incarnation of this member"},
		"entries of no term": {func(g *failStopDisk) { _ = g.StoreLog(&raft.Log{Index: 21, Term: 7}) }, "entries of term 7"},
	} {
		t.Run(name, func(t *testing.T) {
			h, i := filledDir(t)
			expectIntact(t, h, i)
			withoutTail(t, h, test.change)
			expectDamage(t, h, test.want)
		})
	}
}

// TestCrashWindowsAreLegal: a process may be killed between any two writes. The
// log is then ahead of its record by one write, and the member starts.
func TestCrashWindowsAreLegal(t *testing.T) {
	for name, change := range map[string]func(g *failStopDisk){
		"an append":                    func(g *failStopDisk) { _ = g.StoreLogs(entries(21, 30)) },
		"a term":                       func(g *failStopDisk) { _ = g.SetUint64(keyTerm, 4) },
		"a term, and a vote's":         func(g *failStopDisk) { _ = errors.Join(g.SetUint64(keyTerm, 4), g.SetUint64(keyVoteTerm, 4)) },
		"an append in the next term":   func(g *failStopDisk) { _ = errors.Join(g.SetUint64(keyTerm, 4), g.StoreLogs(entries(21, 21))) },
		"the same values once more":    func(g *failStopDisk) { _ = errors.Join(g.SetUint64(keyTerm, 3), g.Set(keyCandidate, []byte("m-1"))) },
		"a transaction of no contents": func(*failStopDisk) {},
	} {
		t.Run(name, func(t *testing.T) {
			h, i := filledDir(t)
			withoutTail(t, h, change)
			expectIntact(t, h, i)
			// What is there is recorded by the next write.
			r := openRecorded(t, h, i)
			last, _ := r.LastIndex()
			if err := r.StoreLog(&raft.Log{Index: last + 1, Term: 4}); err != nil {
				t.Fatal(err)
			}
			if err := r.SetUint64(keyTerm, 5); err != nil {
				t.Fatal(err)
			}
			r.close()
			expectIntact(t, h, i)
		})
	}
}

// TestAVoteHasNoCandidateBetweenItsTwoWrites: a member is killed between the term
// of a vote and its candidate.
func TestAVoteHasNoCandidateBetweenItsTwoWrites(t *testing.T) {
	h, i := filledDir(t)
	r := openRecorded(t, h, i)
	if err := errors.Join(r.SetUint64(keyTerm, 4), r.SetUint64(keyVoteTerm, 4)); err != nil {
		t.Fatal(err)
	}
	r.close()
	expectIntact(t, h, i)
	withoutTail(t, h, func(g *failStopDisk) { _ = g.Set(keyCandidate, []byte("m-2")) })
	expectIntact(t, h, i)
}

// crashingDisk ends the goroutine before an operation, as a kill does.
type crashingDisk struct{ disk }

func (crashingDisk) DeleteRange(uint64, uint64) error { return errors.New("killed") }

// TestTruncationLowersTheRecordFirst: a member is killed before the suffix that
// its record no longer needs is deleted, and after it.
func TestTruncationLowersTheRecordFirst(t *testing.T) {
	h, i := filledDir(t)
	r := openRecorded(t, h, i)
	sound := r.disk
	r.disk, r.fail = crashingDisk{sound}, func(error) {}
	returns(func() { _ = r.DeleteRange(15, 20) })
	if got := r.tail.get(); got.last != 14 {
		t.Fatalf("before the deletion the record ends at %d", got.last)
	}
	r.disk = sound
	r.close()
	expectIntact(t, h, i)

	r = openRecorded(t, h, i)
	if err := r.DeleteRange(15, 20); err != nil {
		t.Fatal(err)
	}
	r.close()
	expectIntact(t, h, i)
	withoutTail(t, h, func(g *failStopDisk) { _ = g.DeleteRange(14, 14) })
	expectDamage(t, h, "acknowledged entries up to 14")
}

// TestPrefixesAreNotMissed: the log may begin after a snapshot, and may be empty.
func TestPrefixesAreNotMissed(t *testing.T) {
	h, i := filledDir(t)
	takeSnapshot(t, h, i, 18)
	r := openRecorded(t, h, i)
	if err := r.DeleteRange(1, 12); err != nil {
		t.Fatal(err)
	}
	r.close()
	if got := expectIntact(t, h, i); got.snapshot.Index != 18 {
		t.Fatalf("starts from %+v", got.snapshot)
	}
	takeSnapshot(t, h, i, 20)
	r = openRecorded(t, h, i)
	if err := r.DeleteRange(13, 20); err != nil {
		t.Fatal(err)
	}
	r.close()
	expectIntact(t, h, i)
	if err := os.RemoveAll(filepath.Join(h.snapshots(), "snapshots")); err != nil {
		t.Fatal(err)
	}
	expectDamage(t, h, "acknowledged entries up to 20")
}

// takeSnapshot writes a snapshot at an index of term 1.
func takeSnapshot(t *testing.T, h memberDir, i identity, index uint64) string {
	t.Helper()
	tail, err := openTail(h.tail(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.close()
	g := &failStopDisk{timeout: time.Minute, tail: tail}
	s, err := openSnapshots(h.snapshots(), g, newRaftLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := s.Create(1, index, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeEnvelope(sink, envelopeHeader{index: index}, journalSnapshot{"state"}); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(h.snapshots(), "snapshots", sink.ID())
}

// TestTheTailRecordItself damages the record.
func TestTheTailRecordItself(t *testing.T) {
	h, i := filledDir(t)
	sound, err := os.ReadFile(h.tail())
	if err != nil {
		t.Fatal(err)
	}
	write := func(raw []byte) {
		t.Helper()
		if err := os.WriteFile(h.tail(), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for slot := range 2 {
		raw := append([]byte(nil), sound...)
		raw[slot*tailSlot+20] ^= 1
		write(raw)
		expectIntact(t, h, i) // a write that was interrupted
	}
	for name, raw := range map[string][]byte{
		"empty":              {},
		"zeroes":             make([]byte, 2*tailSlot),
		"of another member":  (tailRecord{sequence: 1 << 40}).encode(nil, "m-0-other"),
		"a shortened record": sound[:80],
		"of another version": append([]byte("JDTAIL\x00\x02"), make([]byte, tailSlot)...),
		"of extreme length":  append([]byte("JDTAIL\x00\x01\xff\xff\xff\xff"), make([]byte, tailSlot)...),
	} {
		write(raw)
		t.Run(name, func(t *testing.T) { expectDamage(t, h, "neither of its records") })
	}
	if err := os.Remove(h.tail()); err != nil {
		t.Fatal(err)
	}
	expectDamage(t, h, "missing")
}

// TestADirectoryOfFormat1IsConverted: a directory of a version without a tail
// record starts, and has one afterwards.
func TestADirectoryOfFormat1IsConverted(t *testing.T) {
	h, i := filledDir(t)
	snapshot := takeSnapshot(t, h, i, 10)
	makeFormat1(t, h, i)
	if err := os.Remove(filepath.Join(snapshot, sumFile)); err != nil {
		t.Fatal(err)
	}
	if got := expectIntact(t, h, i); got.snapshot.Index != 10 {
		t.Fatalf("starts from %+v", got.snapshot)
	}
	converted, err := h.readIdentity("m-0", "c1")
	if err != nil || converted.Format != identityFormat {
		t.Fatalf("got %+v, %v", converted, err)
	}
	record, err := readTail(h.tail(), i.ID)
	if err != nil || record.last != 20 || record.snapshot != 10 || record.term != 3 || record.voteTerm != 3 || !record.voted {
		t.Fatalf("got %+v, %v", record, err)
	}
	expectIntact(t, h, i)
	withoutTail(t, h, func(g *failStopDisk) { _ = g.DeleteRange(20, 20) })
	expectDamage(t, h, "acknowledged entries up to 20")
}

// TestAnOlderTailRecordOverwritesNothing: the record is restored from an older
// copy, and carries an entry that was replaced since.
func TestAnOlderTailRecordOverwritesNothing(t *testing.T) {
	h, i := filledDir(t)
	old, err := os.ReadFile(h.tail())
	if err != nil {
		t.Fatal(err)
	}
	r := openRecorded(t, h, i)
	if err := errors.Join(r.StoreLogs(entriesOfTerm(21, 23, 3)), r.SetUint64(keyTerm, 4)); err != nil {
		t.Fatal(err)
	}
	r.close()
	newer, err := os.ReadFile(h.tail())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.tail(), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := expectIntact(t, h, i); len(got.redo)+len(got.values) > 0 {
		t.Fatalf("an older record changes the log: %+v", got)
	}
	// Entries from 22 on conflict with another leader's.
	if err := os.WriteFile(h.tail(), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	r = openRecorded(t, h, i)
	if err := errors.Join(r.DeleteRange(22, 23), r.StoreLogs(entriesOfTerm(22, 22, 4))); err != nil {
		t.Fatal(err)
	}
	r.close()
	expectIntact(t, h, i)
	if err := os.WriteFile(h.tail(), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	expectDamage(t, h, "entry 22 is not the one")
}

// makeFormat1 makes a directory one of format 1.
func makeFormat1(t *testing.T, h memberDir, i identity) {
	t.Helper()
	old := `{"format":1,"id":"` + i.ID + `","name":"m-0","clusterID":"c1"}`
	if err := errors.Join(os.WriteFile(h.identity(), []byte(old), 0o600), os.Remove(h.tail())); err != nil {
		t.Fatal(err)
	}
}

// TestAFormat1LogWithOneMetaPageProvesNothing: nothing shows whether the invalid
// one is that of an acknowledged transaction.
func TestAFormat1LogWithOneMetaPageProvesNothing(t *testing.T) {
	h, i := filledDir(t)
	makeFormat1(t, h, i)
	flipMeta(t, h.log(), true)
	expectDamage(t, h, "meta pages")
}
