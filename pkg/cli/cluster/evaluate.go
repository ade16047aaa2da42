package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// controllerGrace is how long a runtime may exist without a status before the
// report says that no controller processes it.
const controllerGrace = 30 * time.Second

// evaluateHealth adds to the report what conditions say about the runtime and its
// Dataset, and derives the overall health from it and from the pods.
func evaluateHealth(r *report.Runtime, runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset) {
	r.Judge()
	result := health.EvaluateRuntime(runtime)
	addFindings(r, &result)
	if dataset != nil {
		ofDataset := health.EvaluateDataset(dataset)
		addFindings(r, &ofDataset)
		if ofDataset.Terminating {
			r.Notes = append(r.Notes, fmt.Sprintf("Dataset %s is being deleted", dataset.Name))
		}
	}
	switch {
	case !result.Observed && r.Collected.Sub(runtime.CreationTimestamp.Time) > controllerGrace:
		r.Problems = append(r.Problems, fmt.Sprintf("no controller has processed it: see the pods in namespace %s", names.SystemNamespace))
	case result.Observed && result.Level != health.Ready && len(r.Problems) == 0:
		r.Problems = append(r.Problems, result.Message())
	}
	addRestarts(r)
	switch {
	case result.Starting:
		r.Health = report.Starting
	case len(r.Problems) > 0 && r.Health == report.Healthy:
		r.Health = report.Degraded
	}
	if result.Terminating {
		r.Notes = append(r.Notes, "it is being deleted")
	}
}

// addFindings adds problems and notes. The condition Ready is left out: it repeats
// what other conditions and the pods show. So is what binds the Dataset, which has
// a line of its own.
func addFindings(r *report.Runtime, result *health.Result) {
	for _, f := range result.Findings {
		switch {
		case f.Summary || f.Cause == health.CauseBinding:
		case f.Severity >= health.Problem || f.Condition == string(v1alpha1.RuntimeMountsReady):
			if !slices.Contains(r.Problems, f.Message) {
				r.Problems = append(r.Problems, f.Message)
			}
		case f.Severity == health.Note && !slices.Contains(r.Notes, f.Message):
			r.Notes = append(r.Notes, f.Message)
		}
	}
}

// addRestarts adds a note about restarted pods, which nothing else shows once they
// are ready again.
func addRestarts(r *report.Runtime) {
	var again []string
	note := func(name string, pod *report.Pod) {
		if pod != nil && pod.Restarts > 0 {
			again = append(again, fmt.Sprintf("%s (%d)", name, pod.Restarts))
		}
	}
	for _, m := range r.Masters {
		note(m.Name, m.Pod)
	}
	for _, w := range r.Workers {
		note(w.Name, w.Pod)
	}
	for _, f := range r.Fuses {
		note(f.Name, f.Pod)
	}
	if len(again) > 0 {
		r.Notes = append(r.Notes, "restarted: "+strings.Join(again, ", "))
	}
}

// merge what members say of themselves into what the cluster says of them.
func merge(r, fresh *report.Runtime, workers bool) {
	r.Asked, r.Version = true, fresh.Version
	r.Targets += fresh.Targets
	r.Failures = append(r.Failures, fresh.Failures...)
	pods := map[string]*report.Pod{}
	for _, m := range r.Masters {
		pods[m.Name] = m.Pod
	}
	for _, w := range r.Workers {
		pods[w.Name] = w.Pod
	}
	for i := range fresh.Masters {
		m := &fresh.Masters[i]
		m.Pod = pods[m.Name]
		m.RaftAddress = resolved(m.RaftAddress, m.Pod)
		if m.Error != "" && m.Pod != nil && !m.Pod.Ready && m.Pod.Reason != "" {
			m.Error = m.Pod.Reason
		}
	}
	r.Masters = fresh.Masters
	if workers {
		for i := range fresh.Workers {
			w := &fresh.Workers[i]
			w.Pod = pods[w.Name]
			if w.Error != "" && w.Pod != nil && !w.Pod.Ready && w.Pod.Reason != "" {
				w.Error = w.Pod.Reason
			}
		}
		r.Workers, r.Cache = fresh.Workers, fresh.Cache
		if len(fresh.Mounts) > 0 {
			r.Mounts = fresh.Mounts
		}
	}
	rejudge(r)
}

// rejudge with the members' answers, and keep what only the cluster knows.
func rejudge(r *report.Runtime) {
	before := r.Problems
	health := r.Health
	r.Judge()
	for _, p := range before {
		if !slices.Contains(r.Problems, p) && !mentions(p, r) {
			r.Problems = append(r.Problems, p)
		}
	}
	if health == report.Starting {
		r.Health = health
	} else if len(r.Problems) > 0 && r.Health == report.Healthy {
		r.Health = report.Degraded
	}
}

// mentions a member, whose own word counts now.
func mentions(problem string, r *report.Runtime) bool {
	for _, m := range r.Masters {
		if strings.HasPrefix(problem, m.Name) {
			return true
		}
	}
	for _, w := range r.Workers {
		if strings.HasPrefix(problem, w.Name) {
			return true
		}
	}
	return strings.HasPrefix(problem, "no master leads")
}
