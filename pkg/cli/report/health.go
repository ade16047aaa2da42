package report

import (
	"fmt"
	"slices"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

// Leader returns the master that reports itself as leader of the newest term, or nil
// if there is none.
func (r *Runtime) Leader() *Master {
	var leader *Master
	for i := range r.Masters {
		m := &r.Masters[i]
		if m.State == "LEADER" && m.Error == "" && (leader == nil || m.Term > leader.Term) {
			leader = m
		}
	}
	return leader
}

// Sum sets Cache to the sum of the workers' tiers and counters, with the fastest
// medium first.
func (r *Runtime) Sum() {
	cache := Cache{Tiers: []Tier{}}
	for _, w := range r.Workers {
		cache.HitBytes += w.HitBytes
		cache.MissBytes += w.MissBytes
		cache.StoreBytes += w.StoreBytes
		cache.RecentSeconds = max(cache.RecentSeconds, w.RecentSeconds)
		cache.RecentHitBytes += w.RecentHitBytes
		cache.RecentMissBytes += w.RecentMissBytes
		for _, tier := range w.Tiers {
			cache.Capacity += tier.Capacity
			cache.Used += tier.Used
			cache.Tiers = addTier(cache.Tiers, tier)
		}
	}
	cache.HitRatio = ratio(cache.HitBytes, cache.MissBytes)
	cache.RecentHitRatio = ratio(cache.RecentHitBytes, cache.RecentMissBytes)
	order := []string{"MEM", "SSD", "HDD"}
	slices.SortStableFunc(cache.Tiers, func(a, b Tier) int {
		return slices.Index(order, a.Medium) - slices.Index(order, b.Medium)
	})
	r.Cache = cache
}

// ratio returns the share of hits, or nil when nothing was read.
func ratio(hit, miss uint64) *float64 {
	if hit+miss == 0 {
		return nil
	}
	return new(float64(hit) / float64(hit+miss))
}

func addTier(tiers []Tier, tier Tier) []Tier {
	for i := range tiers {
		if tiers[i].Medium == tier.Medium {
			tiers[i].Capacity += tier.Capacity
			tiers[i].Used += tier.Used
			tiers[i].Files += tier.Files
			tiers[i].SealedFiles += tier.SealedFiles
			tiers[i].Hits += tier.Hits
			tiers[i].HitBytes += tier.HitBytes
			tiers[i].Promoted += tier.Promoted
			tiers[i].Demoted += tier.Demoted
			if tier.Error != "" {
				tiers[i].Failing++
			}
			return tiers
		}
	}
	tier.Failing = 0
	if tier.Error != "" {
		tier.Failing, tier.Error = 1, "" // The error is one worker's.
	}
	return append(tiers, tier)
}

// EvaluateHealth sets Health and Problems from the other fields.
func (r *Runtime) EvaluateHealth() {
	r.Problems, r.Cause = []string{}, ""
	r.evaluateMounts() // a store that fails is the cause of what follows
	serving := r.evaluateMasters()
	live := r.evaluateWorkers()
	r.evaluateConsumers()
	fuses := r.evaluateFuses()
	switch {
	case len(r.Masters)+len(r.Workers) > 0 && live == 0 && serving == 0:
		r.Health = Unavailable
	case len(r.Workers) > 0 && live == 0 && fuses == 0:
		r.Health = Unavailable
	case len(r.Problems) > 0:
		r.Health = Degraded
	default:
		r.Health = Healthy
	}
	if len(r.Problems) > 0 {
		r.Cause = string(health.CauseMembers)
		if slices.ContainsFunc(r.Mounts, func(m Mount) bool { return m.Error != "" }) {
			r.Cause = string(health.CauseStore)
		}
	}
}

func (r *Runtime) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// absent adds the problem of a member that is unreachable, or whose pod is not ready.
func (r *Runtime) absent(name string, pod *Pod, reason string) {
	if pod != nil && !pod.Ready {
		r.problem("%s: %s", name, reason)
		return
	}
	r.problem("%s is unreachable", name)
}

func (r *Runtime) evaluateMasters() (responding int) {
	if len(r.Masters) == 0 {
		return 0
	}
	for _, m := range r.Masters {
		if m.Error == "" {
			responding++
		}
	}
	leader := r.Leader()
	if leader == nil {
		r.problem("no master leads: reads continue, changes are refused")
	}
	for _, m := range r.Masters {
		switch {
		case m.Error != "":
			r.absent(m.Name, m.Pod, m.Error)
		case !m.Voter:
			r.problem("%s does not vote yet", m.Name)
		case m.ReadOnly:
			r.problem("%s accepts no changes: %s", m.Name, m.Reason)
		case !m.Ready && leader != nil && m.Reason != "":
			r.problem("%s is not ready: %s", m.Name, m.Reason)
		case !m.Ready && leader != nil:
			r.problem("%s is not ready", m.Name)
		}
	}
	return responding
}

func (r *Runtime) evaluateWorkers() (live int) {
	for _, w := range r.Workers {
		if w.Error != "" {
			r.absent(w.Name, w.Pod, w.Error)
			continue
		}
		live++
		if !w.Registered {
			r.problem("%s is not in the ring", w.Name)
		}
		for _, tier := range w.Tiers {
			if tier.Error != "" {
				r.problem("%s caches nothing new in %s: %s", w.Name, tier.Medium, tier.Error)
			}
		}
	}
	return live
}

func (r *Runtime) evaluateMounts() {
	for _, m := range r.Mounts {
		if m.Error != "" {
			r.problem("%s: %s", m.Path, m.Error)
		}
	}
}

func (r *Runtime) evaluateConsumers() {
	for _, c := range r.Consumers {
		if c.Stale {
			r.problem("pod %s: nothing serves its mount on node %s", c.Name, c.Node)
		}
	}
}

func (r *Runtime) evaluateFuses() (ready int) {
	for _, f := range r.Fuses {
		if f.Ready {
			ready++
			continue
		}
		reason := f.Error
		if reason == "" {
			reason = "it does not serve"
		}
		r.problem("%s: %s", f.Name, reason)
	}
	return ready
}
