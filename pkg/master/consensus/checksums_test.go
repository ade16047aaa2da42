package consensus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// TestChecksums: members have the same checksum for the same entries, and a damaged
// entry is reported.
func TestChecksums(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	c.whole()
	for i := range 20 {
		c.propose(fmt.Sprint("command ", i))
	}
	c.agree("command 19")
	read := func(i int, first, last uint64) *masterv1.ChecksumsResponse {
		t.Helper()
		response, err := c.members[i].node.Checksums(c.context(), first, last)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	all := read(0, 0, 0)
	if all.GetFirst() != 1 || all.GetLast() < 20 {
		t.Fatalf("entries %d to %d", all.GetFirst(), all.GetLast())
	}
	for i := range c.members {
		if got := read(i, 1, all.GetLast()-2); got.GetChecksum() != read(0, 1, all.GetLast()-2).GetChecksum() || got.GetLast() != all.GetLast()-2 {
			t.Errorf("%s: %v", c.Name(i), got)
		}
	}
	if read(0, 2, 9).GetChecksum() == read(0, 2, 10).GetChecksum() {
		t.Error("other entries have the same checksum")
	}
	if got := read(0, all.GetLast()+100, all.GetLast()+200); got.GetChecksum() != "" {
		t.Errorf("entries that do not exist: %v", got)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.members[0].node.Checksums(done, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: %v", err)
	}
}
