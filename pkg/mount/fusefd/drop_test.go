//go:build linux

package fusefd

import (
	"context"
	"sync"
	"testing"
)

// TestDropPages drops the pages of inodes, also of one that the kernel does not have,
// many at a time, and without a holder.
func TestDropPages(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	attachment := attachServer(t, socket)
	initPassthrough(t, attachment)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	var group sync.WaitGroup
	for range maxDrops / 2 {
		group.Go(func() {
			for _, node := range []uint64{1, 12345} {
				if err := attachment.DropPages(ctx, node); err != nil {
					t.Errorf("node %d: %v", node, err)
				}
			}
		})
	}
	group.Wait()
	_ = attachment.conn.Close()
	eventually(t, "the end of the holder is noticed", func() bool { return !attachment.DropsPages() })
	if err := attachment.DropPages(ctx, 1); err == nil || ctx.Err() != nil {
		t.Errorf("without a holder: %v", err)
	}
}

// TestTooManyDropsFail checks that a holder whose drops the kernel does not complete
// refuses others, without a wait.
func TestTooManyDropsFail(t *testing.T) {
	s := openSession(t, nil)
	for range maxDrops {
		s.dropping <- struct{}{}
	}
	socket, _ := serve(t, s)
	attachment := attachServer(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := attachment.DropPages(ctx, 1); err == nil || ctx.Err() != nil {
		t.Errorf("one drop too many: %v", err)
	}
	<-s.dropping
	if err := attachment.DropPages(ctx, 1); err != nil {
		t.Error(err)
	}
}
