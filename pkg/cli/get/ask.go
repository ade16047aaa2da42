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

// askWorkers asks the workers what they cache, all at once. What does not
// answer is said, and its row has no figures.
func (q *query) askWorkers(ctx context.Context, in *inventory.Inventory, reports []*WorkerReport) (failures []string) {
	if q.cluster.Config == nil {
		return nil // a stand-in of tests, which has no pods to reach
	}
	type key struct{ namespace, name string }
	byRuntime := map[key][]*WorkerReport{}
	for _, r := range reports {
		if r.Ready {
			at := key{r.Namespace, r.Runtime}
			byRuntime[at] = append(byRuntime[at], r)
		}
	}
	var asking sync.WaitGroup
	var mutex sync.Mutex
	for at, members := range byRuntime {
		runtime := in.Runtime(at.namespace, at.name)
		if runtime == nil {
			continue
		}
		asking.Go(func() {
			sentences := q.ask(ctx, runtime, members)
			mutex.Lock()
			defer mutex.Unlock()
			failures = append(failures, sentences...)
		})
	}
	asking.Wait()
	return failures
}

func (q *query) ask(ctx context.Context, runtime *v1alpha1.JindoRuntime, members []*WorkerReport) []string {
	targets, err := cluster.Targets(ctx, q.cluster, runtime)
	if err != nil {
		return []string{fmt.Sprintf("what the workers of %s/%s cache is not known: %v", runtime.Namespace, runtime.Name, err)}
	}
	targets.Topology.Masters = nil // nobody asks them
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
				sentences = append(sentences, fmt.Sprintf("worker %s/%s did not answer: %s", member.Namespace, member.Name, w.Error))
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
