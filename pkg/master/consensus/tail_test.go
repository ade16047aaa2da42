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

// TestTheRecordRestoresTheNewestWrites: the record carries the last append and
// the values beside the log, so the disk holds them although the log's file lost
// them.
func TestTheRecordRestoresTheNewestWrites(t *testing.T) {
	for name, change := range map[string]func(g *failStopDisk){
		"the last entry is lost": func(g *failStopDisk) { _ = g.DeleteRange(20, 20) },
		"the last entry is damaged": func(g *failStopDisk) {
			_ = g.disk.StoreLog(&raft.Log{Index: 20, Term: 1, Extensions: []byte{1, 2, 3, 4, 5}})
		},
		"an older term":               func(g *failStopDisk) { _ = g.SetUint64(keyTerm, 2) },
		"no term":                     func(g *failStopDisk) { _ = g.SetUint64(keyTerm, 0) },
		"an older vote":               func(g *failStopDisk) { _ = g.SetUint64(keyVoteTerm, 2) },
		"a vote for another":          func(g *failStopDisk) { _ = g.Set(keyCandidate, []byte("m-2")) },
		"a term without its checksum": func(g *failStopDisk) { _ = g.disk.Set(keyTerm, []byte("12345678")) },
		"a term of 3 bytes":           func(g *failStopDisk) { _ = g.Set(keyTerm, []byte("123")) },
	} {
		t.Run(name, func(t *testing.T) {
			h, i := filledDir(t)
			withoutTail(t, h, change)
			expectRestored(t, h, i)
			expectIntact(t, h, i)
		})
	}
}

// expectRestored opens the directory of filledDir as a start does, and fails the
// test unless it holds everything.
func expectRestored(t *testing.T, h memberDir, i identity) {
	t.Helper()
	proven := expectIntact(t, h, i)
	r := openRecorded(t, h, i)
	defer r.close()
	if err := errors.Join(r.redo(proven), r.check(proven.snapshot.Index)); err != nil {
		t.Fatal(err)
	}
	var l raft.Log
	if err := r.GetLog(20, &l); err != nil || string(l.Data) != "20" || r.last.Load() != 20 {
		t.Errorf("the last of %d entries is %q, %v", r.last.Load(), l.Data, err)
	}
	term, _ := r.GetUint64(keyTerm)
	vote, _ := r.GetUint64(keyVoteTerm)
	candidate, _ := r.Get(keyCandidate)
	if term != 3 || vote != 3 || string(candidate) != "m-1" {
		t.Errorf("term %d, vote in term %d for %q", term, vote, candidate)
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

// flipMeta flips a bit of the newest meta page, or of the other.
func flipMeta(t *testing.T, path string, newest bool) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	transaction := func(page int) uint64 {
		var value uint64
		for at := range 8 {
			value |= uint64(raw[page*os.Getpagesize()+64+at]) << (8 * at)
		}
		return value
	}
	page := 0
	if (transaction(1) > transaction(0)) == newest {
		page = 1
	}
	raw[page*os.Getpagesize()+72] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAMetaPageWithAFlippedBit: without the newest transaction an acknowledged
// write is missing; without the one before it, nothing is.
func TestAMetaPageWithAFlippedBit(t *testing.T) {
	h, i := filledDir(t)
	flipMeta(t, h.log(), false)
	expectRestored(t, h, i)
	h, i = filledDir(t)
	flipMeta(t, h.log(), true)
	expectRestored(t, h, i)
	// Entries whose append is too large for the record are lost with it.
	h, i = filledDir(t)
	r := openRecorded(t, h, i)
	large := entries(21, 40)
	for _, l := range large {
		l.Data = make([]byte, maxRedo/10)
	}
	if err := r.StoreLogs(large); err != nil {
		t.Fatal(err)
	}
	r.close()
	expectIntact(t, h, i)
	flipMeta(t, h.log(), true)
	expectDamage(t, h, "acknowledged entries up to 40")
}

// TestAnAppendIsRedoneAfterACrash: a member is killed when the record of an
// append is durable and the log is not.
func TestAnAppendIsRedoneAfterACrash(t *testing.T) {
	h, i := filledDir(t)
	r := openRecorded(t, h, i)
	hanging := hangingDisk{r.disk, make(chan struct{})}
	r.disk, r.fail = hanging, func(error) {}
	ended := make(chan bool)
	go func() { ended <- returns(func() { _ = r.StoreLogs(entries(21, 23)) }) }()
	for deadline := time.Now().Add(waitTimeout); r.tail.get().last != 23; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the record is not written while the log is")
		}
	}
	killed := memberDir{t.TempDir()}
	if err := os.CopyFS(killed.dir, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	close(hanging.hang)
	<-ended
	proven := expectIntact(t, killed, i)
	again := openRecorded(t, killed, i)
	if err := errors.Join(again.redo(proven), again.check(0)); err != nil {
		t.Fatal(err)
	}
	if last, _ := again.LastIndex(); last != 23 {
		t.Fatalf("the log ends at %d", last)
	}
}

// hangingDisk blocks before an append, and then fails.
type hangingDisk struct {
	disk
	hang chan struct{}
}

func (d hangingDisk) StoreLogs([]*raft.Log) error {
	<-d.hang
	return errors.New("killed")
}

// TestAFailedAppendLeavesTheRecordAsItWas: the member may continue after an
// append that wrote nothing.
func TestAFailedAppendLeavesTheRecordAsItWas(t *testing.T) {
	h, i := filledDir(t)
	r := openRecorded(t, h, i)
	full := errors.New("no space left on device")
	if err := r.tail.append(entries(21, 22), func() error { return full }); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	r.close()
	expectRestored(t, h, i)
}
