package blockstore

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestEpochsOverTwiceTheCache reads a data set of twice the size of the tier
// several times over, in the same order and in a new order each time.
func TestEpochsOverTwiceTheCache(t *testing.T) {
	for _, shuffled := range []bool{false, true} {
		t.Run(fmt.Sprintf("shuffled=%t", shuffled), func(t *testing.T) {
			c := newClock()
			s := open(t, testConfig(t, func(config *Config) {
				config.Tiers[0].Quota = 64 * (pages(10_000) + pageSize)
				config.Tiers[0].High, config.Tiers[0].Low = 1, 0.95
				config.Now, config.tick = c.Now, forever
			}))
			o := newOrigin(8, 10_000)
			order := names("epoch", 128)
			r := rand.New(rand.NewPCG(1, 2))
			var hits uint64
			for epoch := range 10 {
				before := s.Stats().Hits
				if shuffled {
					r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				}
				for _, name := range order {
					mustRead(t, s, o, name, 0, 10_000, o.fetch)
					settled(t, s)
				}
				n := uint64(s.Stats().Hits - before)
				t.Logf("epoch %d: %d of %d", epoch, n, len(order))
				if epoch >= 5 {
					hits += n
				}
				c.pass(2 * correlated)
			}
			if share := float64(hits) / float64(5*len(order)); share < 0.45 {
				t.Errorf("%.0f %% of the reads of the last epochs were hits, want at least 45 %%", 100*share)
			}
			checkAccounts(t, s)
		})
	}
}
