package get

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/cluster"
	"github.com/jindo-io/jindo/pkg/cli/collect"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// queryWorkers queries all workers in parallel for the figures of their caches. A
// worker that does not respond is a failure, and its row has no figures.
func (q *query) queryWorkers(ctx context.Context, in *inventory.Inventory, reports []*WorkerReport) (failures []string) {
	if q.cluster.Config == nil {
		return nil // without an API server there is no connection to pods
	}
	type key struct{ namespace, name string }
	byRuntime := map[key][]*WorkerReport{}
	for _, r := range reports {
		if r.Ready {
			at := key{r.Namespace, r.Runtime}
			byRuntime[at] = append(byRuntime[at], r)
		}
	}
	var querying sync.WaitGroup
	var mutex sync.Mutex
	for at, members := range byRuntime {
		runtime := in.Runtime(at.namespace, at.name)
		if runtime == nil {
			continue
		}
		querying.Go(func() {
			sentences := q.queryRuntime(ctx, runtime, members)
			mutex.Lock()
			defer mutex.Unlock()
			failures = append(failures, sentences...)
		})
	}
	querying.Wait()
	return failures
}

func (q *query) queryRuntime(ctx context.Context, runtime *v1alpha1.JindoRuntime, members []*WorkerReport) []string {
	targets, err := cluster.Targets(ctx, q.cluster, runtime)
	if err != nil {
		return []string{fmt.Sprintf("cannot query the workers of %s/%s: %v", runtime.Namespace, runtime.Name, err)}
	}
	targets.Topology.Masters = nil
	r := report.New(report.Ref{Namespace: runtime.Namespace, Name: runtime.Name}, time.Now())
	collect.Fill(ctx, r, targets)
	var sentences []string
	for _, member := range members {
		for i := range r.Workers {
			w := &r.Workers[i]
			if w.Name != member.Name {
				continue
			}
			if w.Error != "" {
				sentences = append(sentences, fmt.Sprintf("worker %s/%s did not respond: %s", member.Namespace, member.Name, w.Error))
				continue
			}
			member.Cache = cacheOf(w)
		}
	}
	return sentences
}

func cacheOf(w *report.Worker) *WorkerCache {
	c := &WorkerCache{Tiers: w.Tiers, HitBytes: w.HitBytes, MissBytes: w.MissBytes}
	if c.Tiers == nil {
		c.Tiers = []report.Tier{}
	}
	for _, t := range w.Tiers {
		c.Used, c.Capacity = c.Used+t.Used, c.Capacity+t.Capacity
	}
	return c
}
