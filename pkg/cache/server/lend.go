package server

import (
	"errors"
	"fmt"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/fdpass"
)

// lender lends sealed versions of the block store over the socket.
type lender struct{ blocks *blockstore.Store }

var _ fdpass.Lender = lender{}

// Lend opens a sealed version.
func (l lender) Lend(key fdpass.Key) (fdpass.Loan, error) {
	loan, err := l.blocks.Lend(blockstore.Key{Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size})
	if errors.Is(err, blockstore.ErrNotSealed) {
		return nil, fmt.Errorf("%w: %w", err, fdpass.ErrNotSealed)
	}
	if err != nil {
		return nil, err
	}
	return loan, nil
}
