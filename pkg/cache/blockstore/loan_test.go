package blockstore

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestLoansAreRevoked checks that a loan is revoked when its version cannot be read
// or its disk hangs, that loans of other versions are not, and that the bytes stay
// charged until the loan is returned.
func TestLoansAreRevoked(t *testing.T) {
	files := &faulty{}
	s := open(t, testConfig(t, func(c *Config) { c.Files, c.Retry = files, time.Hour }))
	o := newOrigin(12, 300_000)
	revoked := map[string]*atomic.Int64{}
	loans := map[string]*Loan{}
	for _, name := range []string{"a", "b", "returned"} {
		mustRead(t, s, o, name, 0, 300_000, o.fetch)
		settled(t, s)
		loan, err := s.Lend(o.key(name))
		must(t, err)
		count := &atomic.Int64{}
		revoked[name], loans[name] = count, loan
		loan.OnRevoke(func() { count.Add(1) })
	}
	loans["returned"].Return()
	files.set(on("read", s.versions[o.key("a").hash()].hash.String()+".data", syscall.EIO))
	mustRead(t, s, o, "a", 0, 1000, o.fetch)
	eventually(t, "the loan of the unreadable version is revoked", func() bool { return revoked["a"].Load() == 1 })
	if revoked["b"].Load() != 0 {
		t.Error("the loan of another version is revoked")
	}
	used := s.Stats().Tiers[0].Used
	loans["a"].Return()
	if now := s.Stats().Tiers[0].Used; now >= used {
		t.Errorf("%d bytes are charged before and %d after the return", used, now)
	}
	gate := make(chan struct{})
	files.set(func(op, _ string) error {
		if op == "open" {
			<-gate
		}
		return nil
	})
	defer close(gate)
	setTimeout(s.tiers[0], 20*time.Millisecond)
	mustRead(t, s, o, "b", 0, 1000, o.fetch)
	eventually(t, "the loan is revoked when the disk hangs", func() bool { return revoked["b"].Load() == 1 })
	loans["b"].Return()
	if revoked["returned"].Load() != 0 || revoked["a"].Load() != 1 {
		t.Error("a loan that was returned is revoked")
	}
	files.set(nil)
}

// TestRemovedFileIsNotLent checks that a file that another process has removed is
// discarded when it is to be lent, and that its tier stays in use.
func TestRemovedFileIsNotLent(t *testing.T) {
	s := open(t, testConfig(t))
	o := newOrigin(8, 250_000)
	fill(t, s, "a")
	must(t, os.Remove(s.versions[o.key("a").hash()].dataPath()))
	if _, err := s.Lend(o.key("a")); !errors.Is(err, ErrNotSealed) {
		t.Fatalf("lend a removed file: %v", err)
	}
	if stats := s.Stats(); stats.Tiers[0].Err != nil || stats.Discarded != 1 {
		t.Errorf("the tier reports %v; %d versions are discarded", stats.Tiers[0].Err, stats.Discarded)
	}
}

// TestUseOfLentFilesIsCounted checks what counts as a hit, and that use of a lent
// file protects it from eviction like reads do.
func TestUseOfLentFilesIsCounted(t *testing.T) {
	s, c, _ := hotStore(t)
	o := newOrigin(13, 250_000)
	mustRead(t, s, o, "lent", 0, 250_000, o.fetch)
	settled(t, s)
	before := s.Stats()
	loan, err := s.Lend(o.key("lent"))
	must(t, err)
	v := loan.v
	c.pass(2 * correlated)
	loan.Used(3, 1000)
	after := s.Stats()
	if hits, bytes := after.Hits-before.Hits, after.HitBytes-before.HitBytes; hits != 4 || bytes != 1000 {
		t.Errorf("%d hits of %d bytes are counted, want 4 of 1000", hits, bytes)
	}
	if after.Recent.Hits-before.Recent.Hits > 4 {
		t.Errorf("%d recent hits", after.Recent.Hits-before.Recent.Hits)
	}
	if v.class != protected || !v.reread {
		t.Errorf("class %d, read again %v", v.class, v.reread)
	}
	loan.Return()
}
