package runtime

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
)

const (
	// usageInterval is the minimum time between changes of usage figures.
	usageInterval = 30 * time.Second
	calculating   = "[Calculating]"
)

// usageTimes records when the usage figures of each runtime last changed. It is safe
// for concurrent use.
type usageTimes struct {
	mu sync.Mutex
	at map[types.UID]time.Time
}

func newUsageTimes() *usageTimes { return &usageTimes{at: map[types.UID]time.Time{}} }

// mayUpdate reports whether the figures may change now, and if so records the change.
func (f *usageTimes) mayUpdate(uid types.UID, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.at[uid]; ok && now.Sub(last) < usageInterval {
		return false
	}
	f.at[uid] = now
	return true
}

func (f *usageTimes) forget(uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.at, uid)
}

// usage holds the printed figures of the cache and the store.
type usage struct {
	cache             v1alpha1.CacheStateList
	ufsTotal, fileNum string
}

func (f usage) equal(g usage) bool {
	return f.ufsTotal == g.ufsTotal && f.fileNum == g.fileNum && maps.Equal(f.cache, g.cache)
}

// setStatus sets the figures that workers report if a printed value has changed
// and the last change is at least usageInterval ago. Without reports, the previous
// figures remain.
func (f *usageTimes) setStatus(r *report, p *plan.Plan, m *masterState) {
	if m.workers == nil {
		if r.status.UfsTotal == "" && p.Unbound == "" && p.Workers != nil {
			r.status.UfsTotal, r.status.FileNum = calculating, calculating
		}
		return
	}
	before := usage{cache: r.status.CacheStates, ufsTotal: r.status.UfsTotal, fileNum: r.status.FileNum}
	now := computeUsage(p, m)
	if now.equal(before) {
		return
	}
	first := before.cache == nil || (before.ufsTotal == calculating && now.ufsTotal != calculating) || before.ufsTotal == ""
	if !f.mayUpdate(r.runtime.UID, r.now.Time) && !first {
		return
	}
	r.status.CacheStates, r.status.UfsTotal, r.status.FileNum = now.cache, now.ufsTotal, now.fileNum
}

func computeUsage(p *plan.Plan, m *masterState) usage {
	var used, capacity, hit, miss, recentHit, recentMiss uint64
	for _, w := range m.workers {
		if !w.GetLive() {
			continue
		}
		for _, tier := range w.GetReport().GetTiers() {
			used, capacity = used+tier.GetUsed(), capacity+tier.GetCapacity()
		}
		hit, miss = hit+w.GetReport().GetHitBytes(), miss+w.GetReport().GetMissBytes()
		recent := w.GetReport().GetRecent() // nil from older workers
		recentHit, recentMiss = recentHit+recent.GetHitBytes(), recentMiss+recent.GetMissBytes()
	}
	f := usage{cache: v1alpha1.CacheStateList{
		v1alpha1.CacheStateCached:        byteSize(used),
		v1alpha1.CacheStateCacheCapacity: byteSize(capacity),
	}}
	if hit+miss > 0 {
		f.cache[v1alpha1.CacheStateCacheHitRatio] = percent(float64(hit) / float64(hit+miss))
	}
	if recentHit+recentMiss > 0 {
		f.cache[v1alpha1.CacheStateRecentHitRatio] = percent(float64(recentHit) / float64(recentHit+recentMiss))
	}
	if p.Unbound != "" {
		return f
	}
	total, known := storeTotals(p, m)
	f.ufsTotal, f.fileNum = calculating, calculating
	switch bytes := total.bytes; {
	case known && total.atLeast:
		// The share of the store that is cached is not known.
		f.ufsTotal = byteSize(uint64(bytes)) + v1alpha1.AtLeast
		f.fileNum = strconv.FormatInt(total.objects, 10) + v1alpha1.AtLeast
	case known:
		f.ufsTotal, f.fileNum = byteSize(uint64(bytes)), strconv.FormatInt(total.objects, 10)
		share := 0.0
		if bytes > 0 {
			share = min(float64(used)/float64(bytes), 1)
		}
		f.cache[v1alpha1.CacheStateCachedPercentage] = percent(share)
	}
	return f
}

// storeTotals returns the totals of all mounts. They are known once every mount has
// been counted.
func storeTotals(p *plan.Plan, m *masterState) (total mountState, known bool) {
	health := m.mountHealth()
	if len(p.Mounts) == 0 {
		return total, false
	}
	for _, mount := range p.Mounts {
		state, ok := health[mount.Path]
		if !ok || state.objects < 0 {
			return total, false
		}
		total.objects, total.bytes = total.objects+state.objects, total.bytes+state.bytes
		total.atLeast = total.atLeast || state.atLeast
	}
	return total, true
}

// byteSize formats a number of bytes as Fluid does, for example 1.50GiB.
func byteSize(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.2f%s", value, units[unit])
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", share*100) }
