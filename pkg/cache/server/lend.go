package server

import (
	"errors"
	"fmt"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/fdpass"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// lender lends sealed versions of the worker's block store over the socket.
type lender struct{ worker *Worker }

var _ fdpass.Lender = lender{}

// Borrower returns the borrower of one connection.
func (l lender) Borrower(scope mtls.Scope) fdpass.Borrower {
	return borrower{l, scope, l.worker.config.Blocks.Borrower()}
}

// borrower borrows for a peer whose certificate has a scope.
type borrower struct {
	lender
	scope mtls.Scope
	files *blockstore.Borrower
}

// Lend opens a sealed version of a mount that the scope names.
func (b borrower) Lend(key fdpass.Key) (fdpass.Loan, error) {
	if err := b.authorize(b.scope, key.Mount); err != nil {
		return nil, err
	}
	loan, err := b.files.Lend(blockstore.Key{Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size})
	if errors.Is(err, blockstore.ErrNotSealed) {
		return nil, fmt.Errorf("%w: %w", err, fdpass.ErrNotSealed)
	}
	if err != nil {
		return nil, err
	}
	return loan, nil
}

// authorize returns an error if the peer may not read a mount. Unlike calls, which
// need the mount's store, a loan needs only cached bytes, so an unknown mount is an
// error here: its path, and so who may read it, is not known.
func (l lender) authorize(scope mtls.Scope, id string) error {
	if mutantLendAnyMount {
		return nil
	}
	v := l.worker.views.load()
	if v == nil || v.mounts[id] == nil {
		return fmt.Errorf("mount %q is unknown", id)
	}
	if reason := notNamed(scope, v.mounts[id]); reason != "" {
		return errors.New(reason)
	}
	return nil
}
