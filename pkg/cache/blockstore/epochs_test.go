package blockstore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestShortEpochsOnThreeWorkers reads a data set of twice three caches in epochs of
// some seconds, as the row epochs of the benchmark does: each cache holds 15 objects,
// and owns the objects that its hash selects, so that the parts are uneven.
func TestShortEpochsOnThreeWorkers(t *testing.T) {
	for _, shuffled := range []bool{false, true} {
		t.Run(fmt.Sprintf("shuffled=%t", shuffled), func(t *testing.T) {
			c := newClock()
			var stores []*Store
			for range 3 {
				stores = append(stores, open(t, testConfig(t, func(config *Config) {
					config.Tiers[0].Quota = 16 * objectBytes
					config.Now, config.tick = c.Now, forever
				})))
			}
			o := newOrigin(8, 250_000)
			order := names("epoch", 96)
			r := rand.New(rand.NewPCG(1, 2))
			reads, hits := 0, int64(0)
			for epoch := range 10 {
				before := hitsOf(stores)
				if shuffled {
					r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				}
				for _, name := range order {
					h := o.key(name).hash()
					s := stores[int(h[0])%3]
					mustRead(t, s, o, name, 0, 250_000, o.fetch)
					settled(t, s)
					s.tick()
					c.pass(50 * time.Millisecond)
				}
				n := hitsOf(stores) - before
				t.Logf("epoch %d: %d of %d", epoch, n, len(order))
				if epoch >= 3 {
					reads, hits = reads+len(order), hits+n
				}
			}
			t.Logf("hits %.1f %%", 100*float64(hits)/float64(reads))
			if share := float64(hits) / float64(reads); share < 0.45 {
				t.Errorf("%.1f %% of the reads of the last epochs were hits, want at least 45 %%", 100*share)
			}
			for _, s := range stores {
				checkAccounts(t, s)
			}
		})
	}
}

func hitsOf(stores []*Store) int64 {
	var n int64
	for _, s := range stores {
		n += s.Stats().Hits
	}
	return n
}
