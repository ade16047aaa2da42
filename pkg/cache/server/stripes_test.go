package server

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// stripe is the stripe size of these tests: four blocks.
const stripe = 256 << 10

// TestStripesAreSpread checks that every worker caches a part of a large object, that
// the store sends each byte once, and that reads across the ends of stripes return
// the object's bytes.
func TestStripesAreSpread(t *testing.T) {
	const size = 16*stripe + 12345
	c := newCluster(t, 3, stripe)
	key := c.bucket.put("large", 1, size)
	reader := c.client(-1)
	for offset := int64(0); offset < size; offset += 300_000 {
		c.mustRead(reader, key, offset, min(300_000, size-offset))
	}
	c.mustRead(reader, key, 0, size)
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		offset := r.Int64N(size - 1)
		c.mustRead(reader, key, offset, 1+r.Int64N(min(2*stripe, size-offset-1)))
	}
	if sent := c.bucket.sent.Load(); sent != size {
		t.Errorf("the store sent %d bytes for an object of %d", sent, size)
	}
	for _, h := range c.workers {
		eventually(t, "the stripes are on disk", func() bool { return h.blocks.Stats().Dirty == 0 })
		if got := h.blocks.Stats().FetchedBytes; got == 0 || got > size*3/4 {
			t.Errorf("%s fetched %d of %d bytes", h.name, got, size)
		}
	}
}

// TestWorkersDownDuringStripedReads checks that reads of a striped object go on while
// each worker in turn is down, and after it has returned on another port.
func TestWorkersDownDuringStripedReads(t *testing.T) {
	const size = 12 * stripe
	c := newCluster(t, 3, stripe)
	key := c.bucket.put("large", 1, size)
	reader := c.client(0)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for i := range 3 {
		reading.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 9))
			for {
				select {
				case <-stop:
					return
				default:
				}
				offset := r.Int64N(size - stripe)
				got, err := read(t.Context(), reader, key, offset, stripe)
				if err != nil || string(got) != string(c.bucket.get("large")[offset:offset+stripe]) {
					t.Errorf("read at %d: %v", offset, err)
					return
				}
			}
		})
	}
	for _, h := range c.workers {
		h.stop()
		c.mustRead(reader, key, 0, size)
		h.openBlocks(t.TempDir())
		h.start()
		c.publish()
		c.mustRead(reader, key, 0, size)
	}
	close(stop)
	reading.Wait()
}

// TestStripesOfThePreviousRing checks that the owner of each stripe reads it from
// the worker that owned that stripe before, also when objects were not striped then.
func TestStripesOfThePreviousRing(t *testing.T) {
	for name, before := range map[string]int64{"whole": 0, "smaller stripes": stripe / 2, "same stripes": stripe} {
		t.Run(name, func(t *testing.T) {
			const size = 8 * stripe
			c := newCluster(t, 2, before)
			key := c.bucket.put("large", 1, size)
			c.mustRead(c.client(0), key, 0, size)
			fetched := c.bucket.sent.Load()
			// The second worker owns nearly everything now.
			c.masters.change(func(v *commonv1.ClusterView) {
				previous := &commonv1.Ring{Epoch: v.Ring.Epoch, StripeSize: v.Ring.StripeSize, Members: v.Ring.Members}
				v.PreviousRings = []*commonv1.Ring{previous}
				first, second := v.Ring.Members[0], v.Ring.Members[1]
				v.Ring = &commonv1.Ring{Epoch: v.Ring.Epoch + 1, StripeSize: stripe, Members: []*commonv1.RingMember{
					{Name: first.Name, Host: first.Host, Port: first.Port, Weight: 1},
					{Name: second.Name, Host: second.Host, Port: second.Port, Weight: 1000},
				}}
			})
			for _, h := range c.workers {
				eventually(t, "the workers have the ring", func() bool { return h.worker.views.load().GetIndex() == c.masters.index() })
			}
			c.mustRead(c.client(1), key, 0, size)
			if sent := c.bucket.sent.Load() - fetched; sent != 0 {
				t.Errorf("the store sent %d bytes again after the ring had changed", sent)
			}
		})
	}
}
