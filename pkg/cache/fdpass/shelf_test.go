package fdpass

import (
	"errors"
	"os"
	"sync"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// shelf is a Lender of one file of the mount at /m.
type shelf struct {
	path string
	mu   sync.Mutex
	out  int
	err  error
	// revoked are the callbacks of all loans; opens and bytes were reported.
	revoked      []func()
	opens, bytes int64
	// books are all loans.
	books []*book
}

// revokeAll revokes all loans so far.
func (s *shelf) revokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, revoked := range s.revoked {
		go revoked()
	}
	s.revoked = nil
}

func (s *shelf) Borrower(scope mtls.Scope) Borrower { return visitor{s, scope} }

// visitor is a Borrower of a shelf.
type visitor struct {
	*shelf
	scope mtls.Scope
}

func (v visitor) Lend(key Key) (Loan, error) { return v.lend(v.scope, key) }

func (s *shelf) lend(scope mtls.Scope, key Key) (Loan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !scope.MayRead("/m") {
		return nil, errors.New("not in the certificate")
	}
	if s.err != nil {
		return nil, s.err
	}
	if key != (Key{"m", "a", "e", 5}) {
		return nil, ErrNotSealed
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	s.out++
	b := &book{shelf: s, File: f}
	s.books = append(s.books, b)
	return b, nil
}

func (s *shelf) lent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out
}

type book struct {
	shelf *shelf
	*os.File
	// The shelf's lock guards these.
	idle     bool
	recalled func()
	returned bool
}

func (b *book) OnRecall(recalled func()) {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.recalled = recalled
}

func (b *book) SetIdle(idle bool) {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.idle = idle
}

func (b *book) OnRevoke(revoked func()) {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.shelf.revoked = append(b.shelf.revoked, revoked)
}

func (b *book) Used(opens, bytes int64) {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.shelf.opens += opens
	b.shelf.bytes += bytes
}

func (b *book) CloseFile() { _ = b.Close() }

func (b *book) Return() {
	_ = b.Close()
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.shelf.out--
	b.returned = true
}
