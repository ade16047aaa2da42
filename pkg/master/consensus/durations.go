package consensus

import (
	"slices"
	"sync"
	"time"
)

// durationsKept is how many of the newest durations percentiles are computed
// from.
const durationsKept = 1024

// durations holds the newest durations of one kind of event.
type durations struct {
	observe func(time.Duration)

	mu   sync.Mutex
	ring []time.Duration
	next int
}

func (d *durations) add(took time.Duration) {
	d.mu.Lock()
	if len(d.ring) < durationsKept {
		d.ring = append(d.ring, took)
	} else {
		d.ring[d.next] = took
		d.next = (d.next + 1) % durationsKept
	}
	d.mu.Unlock()
	if d.observe != nil {
		d.observe(took)
	}
}

// percentile returns the smallest duration that p percent of the durations do
// not exceed; 0 when there are none.
func (d *durations) percentile(p int) time.Duration {
	d.mu.Lock()
	sorted := slices.Clone(d.ring)
	d.mu.Unlock()
	if len(sorted) == 0 {
		return 0
	}
	slices.Sort(sorted)
	return sorted[(len(sorted)*p+99)/100-1]
}
