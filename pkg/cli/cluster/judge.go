package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// unattended is how long a runtime may be there without any word of a
// controller.
const unattended = 30 * time.Second

// judge adds what conditions say to what the pods show.
func judge(r *report.Runtime, runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset) {
	r.Judge()
	for _, c := range runtime.Status.Conditions {
		switch c.Type {
		case v1alpha1.RuntimeSpecValid, v1alpha1.RuntimeCredentialsReady, v1alpha1.RuntimeMountsReady:
			if c.Status == corev1.ConditionFalse {
				r.Problems = append(r.Problems, said(string(c.Type), c.Message))
			}
		case v1alpha1.RuntimePlacementBlocked, v1alpha1.RuntimePodSecurityForbidden, v1alpha1.RuntimeDeletionBlocked:
			if c.Status == corev1.ConditionTrue {
				r.Problems = append(r.Problems, said(string(c.Type), c.Message))
			}
		case v1alpha1.RuntimeChangeNotApplied, v1alpha1.RuntimeUpdatePending:
			if c.Status == corev1.ConditionTrue {
				r.Notes = append(r.Notes, said(string(c.Type), c.Message))
			}
		}
	}
	if dataset != nil {
		ofDataset(r, dataset)
	}
	ready := conditionOf(runtime, v1alpha1.RuntimeReady)
	switch {
	case ready == nil && r.Collected.Sub(runtime.CreationTimestamp.Time) > unattended:
		r.Problems = append(r.Problems, fmt.Sprintf("no controller has looked at it yet: see the pods in namespace %s", names.SystemNamespace))
	case ready != nil && ready.Status != corev1.ConditionTrue && len(r.Problems) == 0:
		r.Problems = append(r.Problems, ready.Message)
	}
	restarts(r)
	switch {
	case ready == nil || ready.Status != corev1.ConditionTrue && ready.Reason == "ComingUp":
		r.Health = report.Starting
	case len(r.Problems) > 0 && r.Health == report.Healthy:
		r.Health = report.Degraded
	}
	if runtime.DeletionTimestamp != nil {
		r.Notes = append(r.Notes, "it is being deleted")
	}
}

// said is a condition's sentence; its name where it has none.
func said(kind, message string) string {
	if message == "" {
		return kind
	}
	return message
}

func ofDataset(r *report.Runtime, dataset *v1alpha1.Dataset) {
	for _, c := range dataset.Status.Conditions {
		bad := c.Status == corev1.ConditionTrue
		switch c.Type {
		case v1alpha1.DatasetSpecValid:
			bad = c.Status == corev1.ConditionFalse
		case v1alpha1.DatasetMountUnsupported, v1alpha1.DatasetDeletionBlocked:
		case v1alpha1.DatasetChangeNotApplied:
			if bad && !slices.Contains(r.Notes, c.Message) {
				r.Notes = append(r.Notes, said(string(c.Type), c.Message))
			}
			continue
		default:
			continue
		}
		if sentence := said(string(c.Type), c.Message); bad && !slices.Contains(r.Problems, sentence) {
			r.Problems = append(r.Problems, sentence)
		}
	}
	if dataset.DeletionTimestamp != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("Dataset %s is being deleted", dataset.Name))
	}
}

// restarts are worth a note, as nothing else shows them once all is well again.
func restarts(r *report.Runtime) {
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

func conditionOf(runtime *v1alpha1.JindoRuntime, kind v1alpha1.RuntimeConditionType) *v1alpha1.RuntimeCondition {
	if runtime == nil {
		return nil
	}
	for i := range runtime.Status.Conditions {
		if runtime.Status.Conditions[i].Type == kind {
			return &runtime.Status.Conditions[i]
		}
	}
	return nil
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
