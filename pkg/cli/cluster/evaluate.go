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

// evaluateHealth adds to the report what the conditions report about the runtime and its
// Dataset, and derives the overall health from it and from the pods.
func evaluateHealth(r *report.Runtime, runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset) {
	r.EvaluateHealth()
	result := health.EvaluateRuntime(runtime)
	causes := &causes{report: r}
	causes.add(&result)
	if dataset != nil {
		ofDataset := health.EvaluateDataset(dataset)
		causes.add(&ofDataset)
		if ofDataset.Terminating {
			r.Notes = append(r.Notes, fmt.Sprintf("Dataset %s is being deleted", dataset.Name))
		}
	}
	if !result.Observed && r.Collected.Sub(runtime.CreationTimestamp.Time) > controllerGrace {
		causes.problem(health.Finding{
			Cause: health.CauseController, Message: fmt.Sprintf("no controller has processed it: see the pods in namespace %s", names.SystemNamespace),
		})
	}
	if worst, found := result.Worst(health.Waiting); found && result.Observed && result.Level != health.Ready && len(causes.problems)+len(r.Problems) == 0 {
		causes.problem(worst)
	}
	causes.prepend()
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

// causes gathers the problems that conditions report. They precede those of the
// pods, which are mostly their consequences.
type causes struct {
	report   *report.Runtime
	problems []string
	cause    health.Cause
}

// add adds problems and notes. The condition Ready is left out: it repeats what
// other conditions and the pods show. So is what binds the Dataset, which has a
// line of its own.
func (c *causes) add(result *health.Result) {
	for _, f := range result.Findings {
		switch {
		case f.Summary || f.Cause == health.CauseBinding:
		case f.Severity >= health.Problem || f.Condition == string(v1alpha1.RuntimeMountsReady):
			c.problem(f)
		case f.Severity == health.Note && !slices.Contains(c.report.Notes, f.Message):
			c.report.Notes = append(c.report.Notes, f.Message)
		}
	}
}

func (c *causes) problem(f health.Finding) {
	if c.cause == health.CauseNone {
		c.cause = f.Cause
	}
	if !slices.Contains(c.problems, f.Message) {
		c.problems = append(c.problems, f.Message)
	}
}

// prepend puts the problems in front of those of the report.
func (c *causes) prepend() {
	if len(c.problems) == 0 {
		return
	}
	pods := slices.DeleteFunc(c.report.Problems, func(p string) bool { return slices.Contains(c.problems, p) })
	c.report.Problems, c.report.Cause = append(c.problems, pods...), string(c.cause)
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

// merge replaces what the cluster reports about members by what they report
// themselves.
func merge(r, fresh *report.Runtime, workers bool) {
	r.MemberViews, r.Version = true, fresh.Version
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
		r.Workers, r.Cache, r.Passthrough = fresh.Workers, fresh.Cache, fresh.Passthrough
		if len(fresh.Mounts) > 0 {
			r.Mounts = fresh.Mounts
		}
	}
	evaluateMembers(r)
}

// evaluateMembers evaluates the report again with what members reported, and keeps
// the problems that only the cluster knows. Those come first, as before.
func evaluateMembers(r *report.Runtime) {
	before, cause, was := r.Problems, r.Cause, r.Health
	r.EvaluateHealth()
	kept := slices.DeleteFunc(slices.Clone(before), func(p string) bool { return isAboutMember(p, r) })
	if len(kept) > 0 && cause != "" {
		r.Cause = cause
	}
	members := slices.DeleteFunc(r.Problems, func(p string) bool { return slices.Contains(kept, p) || repeatsMount(p, kept, r.Mounts) })
	r.Problems = append(kept, members...)
	if was == report.Starting {
		r.Health = was
	} else if len(r.Problems) > 0 && r.Health == report.Healthy {
		r.Health = report.Degraded
	}
}

// repeatsMount reports whether a problem is the error of a mount that one of the
// others contains already.
func repeatsMount(problem string, others []string, mounts []report.Mount) bool {
	return slices.ContainsFunc(mounts, func(m report.Mount) bool {
		return m.Error != "" && problem == m.Path+": "+m.Error &&
			slices.ContainsFunc(others, func(other string) bool { return strings.Contains(other, m.Error) })
	})
}

// isAboutMember reports whether a problem is about a master or worker, which has
// reported itself since.
func isAboutMember(problem string, r *report.Runtime) bool {
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
