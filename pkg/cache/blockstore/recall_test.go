package blockstore

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// process is a borrower with idle loans.
type process struct {
	*testing.T
	store    *Store
	borrower *Borrower
	mu       sync.Mutex
	loans    map[string]*Loan
	recalled []string
	// respond handles a recall, in another goroutine.
	respond func(name string, l *Loan)
	wg      sync.WaitGroup
}

func newProcess(t *testing.T, s *Store, respond func(name string, l *Loan)) *process {
	p := &process{T: t, store: s, borrower: s.Borrower(), loans: map[string]*Loan{}, respond: respond}
	t.Cleanup(p.wg.Wait)
	return p
}

// returns is a response that returns the loan.
func returns(_ string, l *Loan) { l.Return() }

// borrow borrows a version and declares the loan idle.
func (p *process) borrow(name string) *Loan {
	p.Helper()
	loan, err := p.borrower.Lend(newOrigin(8, 250_000).key(name))
	must(p.T, err)
	loan.CloseFile()
	loan.OnRecall(func() {
		p.mu.Lock()
		p.recalled = append(p.recalled, name)
		respond := p.respond
		p.mu.Unlock()
		if respond != nil {
			p.wg.Go(func() { respond(name, loan) })
		}
	})
	loan.SetIdle(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loans[name] = loan
	return loan
}

// recalls returns the names that were recalled, in their order.
func (p *process) recalls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.recalled...)
}

// lentStore is a store with room for 16 versions that has 15, all of which a process has
// borrowed and does not use.
func lentStore(t *testing.T, wait time.Duration, respond func(string, *Loan)) (*Store, *process) {
	s := small(t, newClock())
	s.config.recallWait = wait
	p := newProcess(t, s, respond)
	for _, name := range names("lent", 15) {
		fill(t, s, name)
		p.borrow(name)
	}
	return s, p
}

// TestIdleLoansAreRecalled checks that idle loans change nothing of what is evicted.
func TestIdleLoansAreRecalled(t *testing.T) {
	s, p := lentStore(t, forever, returns)
	plain := small(t, newClock())
	fill(t, plain, names("lent", 15)...)
	for i := range 40 {
		name := fmt.Sprint("other", i)
		fill(t, s, name)
		fill(t, plain, name)
		for _, name := range append(names("lent", 15), names("other", 40)...) {
			if got, want := cached(s, name), cached(plain, name); got != want {
				t.Fatalf("after other%d: %s is cached: %v, without loans: %v", i, name, got, want)
			}
		}
	}
	if len(p.recalls()) == 0 {
		t.Error("nothing was recalled")
	}
	if used := s.Stats().Tiers[0].Used; used > s.tiers[0].Quota {
		t.Errorf("%d bytes are charged, the quota is %d", used, s.tiers[0].Quota)
	}
	checkAccounts(t, s)
}

// evictAll evicts, or recalls, all versions that are not in use.
func (s *Store) evictAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evictTo(s.tiers[0], 0)
}

// TestUsedLoansAreNotRecalled checks that a version whose loan is used again when it is
// recalled stays, and that others are evicted.
func TestUsedLoansAreNotRecalled(t *testing.T) {
	s, _ := lentStore(t, forever, func(name string, l *Loan) {
		if name == "lent0" {
			l.SetIdle(false)
		} else {
			l.Return()
		}
	})
	eventually(t, "all but the version in use are evicted", func() bool {
		s.evictAll()
		return s.Stats().Tiers[0].Files == 1
	})
	if !cached(s, "lent0") {
		t.Error("the version in use was evicted")
	}
	checkAccounts(t, s)
}

// TestBorrowerThatDoesNotRespond checks that the loans of such a borrower stay charged,
// that those of others are recalled, and that its loans count as idle again some time
// after it has responded.
func TestBorrowerThatDoesNotRespond(t *testing.T) {
	// Room for the last version is made by a recall, and it must be whole before the
	// borrower is late.
	s, hung := lentStore(t, forever, nil)
	fill(t, s, "other")
	p := newProcess(t, s, returns)
	p.borrow("other")
	s.mu.Lock()
	s.config.recallWait = time.Millisecond
	s.mu.Unlock()
	eventually(t, "the version of the other borrower is evicted", func() bool {
		s.evictAll()
		return !cached(s, "other")
	})
	eventually(t, "the borrower is late", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return hung.borrower.late
	})
	before := len(hung.recalls())
	s.evictAll()
	if now := len(hung.recalls()); now != before || before == 0 {
		t.Errorf("%d loans were recalled from the borrower that does not respond, and %d when it was late", before, now-before)
	}
	if files := s.Stats().Tiers[0].Files; files != 15 {
		t.Errorf("%d versions are cached, want the 15 that are lent", files)
	}
	// It responds now.
	hung.mu.Lock()
	hung.respond = returns
	hung.mu.Unlock()
	hung.loans["lent0"].SetIdle(false)
	eventually(t, "its idle loans are recalled", func() bool {
		s.evictAll()
		return s.Stats().Tiers[0].Files == 1
	})
	if !cached(s, "lent0") {
		t.Error("the file in use was evicted")
	}
	hung.loans["lent0"].Return()
	checkAccounts(t, s)
}

// TestRemovedVersionsAreRecalled checks that the idle loans of versions that are
// discarded, expire, or are forgotten are recalled, so that they are not charged.
func TestRemovedVersionsAreRecalled(t *testing.T) {
	for name, remove := range map[string]func(s *Store, c *clock, o *origin){
		"discarded": func(s *Store, _ *clock, o *origin) { s.discard(s.versions[o.key("a").hash()], errCorrupt) },
		"forgotten": func(s *Store, _ *clock, o *origin) { s.Forget(o.key("a").Mount, "a") },
		"expired": func(s *Store, c *clock, o *origin) {
			s.mu.Lock()
			s.supersede(s.versions[o.key("a").hash()])
			s.mu.Unlock()
			c.pass(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := small(t, c)
			fill(t, s, "a")
			p := newProcess(t, s, returns)
			p.borrow("a")
			remove(s, c, newOrigin(8, 250_000))
			eventually(t, "the version is returned and removed", func() bool {
				c.pass(time.Second)
				s.Expire(c.Now())
				stats := s.Stats()
				return stats.Lent == 0 && stats.Tiers[0].Used == 0
			})
			if n := len(p.recalls()); n != 1 {
				t.Errorf("%d recalls", n)
			}
			checkAccounts(t, s)
		})
	}
}

// TestBorrowersOfAFullStore has several borrowers use, keep and return files of a store
// that is full, some of which do not respond. In the end the accounts are right.
func TestBorrowersOfAFullStore(t *testing.T) {
	c := newClock()
	s := small(t, c)
	s.config.recallWait = 100 * time.Microsecond
	o := newOrigin(8, 250_000)
	all := names("file", 40)
	var users sync.WaitGroup
	for seed := range uint64(6) {
		users.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			b := s.Borrower()
			var mu sync.Mutex
			kept := map[string]*Loan{}
			drop := func(name string) {
				mu.Lock()
				loan := kept[name]
				delete(kept, name)
				mu.Unlock()
				if loan != nil {
					loan.Return()
				}
			}
			var recalls sync.WaitGroup
			for range 80 {
				name := all[r.IntN(len(all))]
				mu.Lock()
				loan := kept[name]
				mu.Unlock()
				if loan != nil {
					drop(name)
					continue
				}
				mustRead(t, s, o, name, 0, 250_000, o.fetch)
				loan, err := b.Lend(o.key(name))
				if err != nil {
					continue
				}
				loan.CloseFile()
				responds := r.IntN(4) > 0
				loan.OnRecall(func() {
					if responds {
						recalls.Go(func() { drop(name) })
					}
				})
				mu.Lock()
				kept[name] = loan
				mu.Unlock()
				loan.SetIdle(true)
			}
			// Nothing is recalled once all is returned. Before that a recall may begin
			// beside Wait.
			for _, name := range all {
				drop(name)
			}
			recalls.Wait()
		})
	}
	users.Wait()
	settled(t, s)
	if lent := s.Stats().Lent; lent != 0 {
		t.Errorf("%d files are lent", lent)
	}
	fill(t, s, "last")
	if !cached(s, "last") {
		t.Error("the last version is not cached")
	}
	checkAccounts(t, s)
}
