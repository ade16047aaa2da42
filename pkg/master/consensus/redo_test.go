package consensus

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

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
