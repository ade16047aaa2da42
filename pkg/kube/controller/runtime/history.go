package runtime

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Bounds of the history of a runtime: a number of specs, and the bytes of all but the
// newest, because an object of the API is limited to about 1.5 MiB.
const (
	maxHistory      = 5
	maxHistoryBytes = 128 << 10
)

// recordSpec adds the valid spec of a runtime to its history, the newest last, unless it
// differs from the newest in its number of workers only: autoscalers change that.
func recordSpec(r *report) {
	spec := *r.runtime.Spec.DeepCopy()
	history := r.status.History
	if n := len(history); n > 0 && sameButReplicas(history[n-1].Spec, spec) {
		return
	}
	history = append(history, v1alpha1.SpecRevision{Generation: r.runtime.Generation, Time: r.now, Spec: spec})
	r.status.History = trimHistory(history)
}

func sameButReplicas(a, b v1alpha1.JindoRuntimeSpec) bool {
	a.Replicas, b.Replicas = nil, nil
	return equality.Semantic.DeepEqual(a, b)
}

// trimHistory returns the newest specs within the bounds.
func trimHistory(history []v1alpha1.SpecRevision) []v1alpha1.SpecRevision {
	history = history[max(len(history)-maxHistory, 0):]
	size := 0
	for i := len(history) - 2; i >= 0; i-- {
		raw, err := json.Marshal(history[i])
		if size += len(raw); err != nil || size > maxHistoryBytes {
			return history[i+1:]
		}
	}
	return history
}
