package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// TestPreviousOwnersAreNotRequestedInVain checks that a new owner requests from the
// previous one what that holds, and nothing else once it has the set of that.
func TestPreviousOwnersAreNotRequestedInVain(t *testing.T) {
	c := newCluster(t, 2, 0)
	for _, h := range c.workers {
		h.worker.held.after = 0
	}
	first, second := c.workers[0], c.workers[1]
	var moved []blockstore.Key
	for i := range 40 {
		moved = append(moved, c.bucket.put("moved"+string(rune('a'+i)), uint64(i), 1000))
	}
	reader := c.client(-1)
	for _, key := range moved {
		c.mustRead(reader, key, 0, key.Size)
	}
	eventually(t, "all are cached", func() bool {
		return first.blocks.Stats().Tiers[0].Sealed+second.blocks.Stats().Tiers[0].Sealed == int64(len(moved))
	})
	// The second worker owns everything now.
	c.masters.change(func(v *commonv1.ClusterView) {
		v.PreviousRings = []*commonv1.Ring{v.Ring}
		v.Ring = &commonv1.Ring{Epoch: v.Ring.Epoch + 1, Members: slices.Clone(v.Ring.Members[1:])}
	})
	eventually(t, "the worker has the ring", func() bool { return second.worker.views.load().GetIndex() == c.masters.index() })
	sent := c.bucket.gets.Load()
	reader = c.client(-1)
	c.mustRead(reader, c.bucket.put("trigger", 7, 1000), 0, 1000)
	eventually(t, "the set has arrived", func() bool { return second.worker.held.has(first.name) })
	before := first.refused(t)
	for i := range 100 {
		c.mustRead(reader, c.bucket.put("new"+string(rune('A'+i)), uint64(i+500), 1000), 0, 1000)
	}
	if n := first.refused(t) - before; n > 5 {
		t.Errorf("100 new objects caused %d requests in vain", n)
	}
	gets := c.bucket.gets.Load()
	for _, key := range moved {
		c.mustRead(reader, key, 0, key.Size)
	}
	if again := c.bucket.gets.Load() - gets; again != 0 {
		t.Errorf("the store received %d requests for what the previous owner has (%d before)", again, sent)
	}
}

// TestEmptyPreviousOwnersAreNotRequested checks that a worker of a cluster that was
// just formed does not request each object from the previous owner, which holds
// nothing, and that it requests what a previous owner holds, directly after a change
// of the ring.
func TestEmptyPreviousOwnersAreNotRequested(t *testing.T) {
	for _, held := range []int{0, 20} {
		t.Run(fmt.Sprintf("%d objects held", held), func(t *testing.T) {
			c := newCluster(t, 2, 0)
			for _, h := range c.workers {
				h.worker.held.after = time.Hour
			}
			first, second := c.workers[0], c.workers[1]
			var members []*commonv1.RingMember
			c.masters.change(func(v *commonv1.ClusterView) {
				members = slices.Clone(v.Ring.Members)
				v.Ring = &commonv1.Ring{Epoch: v.Ring.Epoch + 1, Members: members[:1]}
			})
			eventually(t, "the worker has the ring", func() bool { return first.worker.views.load().GetIndex() == c.masters.index() })
			var moved []blockstore.Key
			reader := c.client(-1)
			for i := range held {
				moved = append(moved, c.bucket.put(fmt.Sprint("moved", i), uint64(i), 1000))
				c.mustRead(reader, moved[i], 0, 1000)
			}
			eventually(t, "all are cached", func() bool { return first.blocks.Stats().Tiers[0].Sealed == int64(held) })
			c.masters.change(func(v *commonv1.ClusterView) {
				v.PreviousRings = []*commonv1.Ring{v.Ring}
				v.Ring = &commonv1.Ring{Epoch: v.Ring.Epoch + 1, Members: members[1:]}
			})
			eventually(t, "the worker has the ring", func() bool { return second.worker.views.load().GetIndex() == c.masters.index() })
			reader = c.client(-1)
			c.mustRead(reader, c.bucket.put("trigger", 7, 1000), 0, 1000)
			eventually(t, "the set has arrived", func() bool { return second.worker.held.has(first.name) })
			before, gets := first.refused(t), c.bucket.gets.Load()
			for i := range 100 {
				c.mustRead(reader, c.bucket.put(fmt.Sprint("new", i), uint64(i+500), 1000), 0, 1000)
			}
			if n := first.refused(t) - before; held == 0 && n != 0 {
				t.Errorf("100 new objects caused %d requests to a worker that holds nothing", n)
			}
			for _, key := range moved {
				c.mustRead(reader, key, 0, key.Size)
			}
			if n := c.bucket.gets.Load() - gets; n != 100 {
				t.Errorf("the store received %d requests, want one for each of 100 new objects", n)
			}
		})
	}
}

// has reports whether the set of a peer has arrived.
func (h *held) has(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sets[name] != nil && h.sets[name].set != nil
}

// refused returns the number of requests for cached bytes that a worker had not.
func (h *harness) refused(t *testing.T) int {
	t.Helper()
	counter, err := h.worker.metrics.failures.GetMetricWithLabelValues(string(wire.CodeNotCached))
	if err != nil {
		t.Fatal(err)
	}
	var value dto.Metric
	if err := counter.Write(&value); err != nil {
		t.Fatal(err)
	}
	return int(value.GetCounter().GetValue())
}

// TestHeldIsForWorkers checks that other roles do not learn what a worker holds.
func TestHeldIsForWorkers(t *testing.T) {
	h := newHarness(t).ready()
	h.bucket.put("a", 1, 10)
	for role, status := range map[mtls.Role]int{mtls.Worker: http.StatusOK, mtls.Fuse: http.StatusForbidden, mtls.Admin: http.StatusForbidden, mtls.Master: http.StatusForbidden} {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.worker.Addr().String()+wire.HeldPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := h.client(role, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != status {
			t.Errorf("%s: status %d, want %d", role, response.StatusCode, status)
		}
		if status == http.StatusOK {
			if _, err := wire.ReadHeld(response.Body); err != nil {
				t.Error(err)
			}
		}
		_ = response.Body.Close()
		cancel()
	}
}
