package dirstore

import (
	"context"
	"fmt"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// maxIdlePages bounds the pages in a row that advance a listing by no key. A page
// may be empty, as where a bucket keeps deleted versions, but a store that returns
// such pages for ever must not occupy a listing for ever.
const maxIdlePages = 1000

// lister reads the pages of one listing. It is used by one goroutine.
type lister struct {
	store   *Store
	mount   Mount
	options ufs.ListOptions
	// pages is the number of pages read, idle that of the last ones without a new
	// key.
	pages, idle int
	last        string
	done        bool
}

// next returns the next page. After the last one, done is set.
func (l *lister) next() (ufs.Page, error) {
	ctx, cancel := context.WithTimeout(l.store.ctx, l.store.config.PageTimeout)
	defer cancel()
	page, err := l.mount.Store.List(ctx, l.options)
	if err != nil && l.pages == 0 && l.store.cannotHold(ctx, l.mount, l.options.Prefix, err) {
		page, err = ufs.Page{}, nil
	}
	if err != nil {
		return ufs.Page{}, l.store.explain(ctx, err)
	}
	l.pages++
	l.idle++
	if last := lastKey(page); last > l.last {
		l.last, l.idle = last, 0
	}
	l.done = page.Next == ""
	switch {
	case page.Next != "" && page.Next == l.options.Continuation:
		return ufs.Page{}, fmt.Errorf("the store returned the same page of the listing again: %w", ufs.ErrUnavailable)
	case !l.done && l.idle >= maxIdlePages:
		return ufs.Page{}, fmt.Errorf("the store returned %d pages of the listing without a new key: %w", l.idle, ufs.ErrUnavailable)
	}
	l.options.Continuation = page.Next
	return page, nil
}
