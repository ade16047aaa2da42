package dataset

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// maxNote is what an event may say.
const maxEventMessage = 1000

// conditions of a Dataset, in a fixed order. Those that are not in it are gone.
func conditions(f inputs, status v1alpha1.DatasetStatus) []v1alpha1.DatasetCondition {
	generation := f.dataset.Generation
	var all []v1alpha1.DatasetCondition
	add := func(kind v1alpha1.DatasetConditionType, status corev1.ConditionStatus, reason, message string) {
		all = append(all, condition(kind, status, reason, message, generation))
	}
	if reason, message := f.notReady(); reason == "" {
		add(v1alpha1.DatasetReady, corev1.ConditionTrue, reasonReady, fmt.Sprintf("JindoRuntime %s serves it", f.runtime.Name))
	} else {
		add(v1alpha1.DatasetReady, corev1.ConditionFalse, reason, message)
		if status.Phase == v1alpha1.FailedDatasetPhase {
			add(v1alpha1.DatasetNotReady, corev1.ConditionTrue, health.ReasonDatasetFailedToSetup, message)
		}
	}
	if f.invalid != "" {
		add(v1alpha1.DatasetSpecValid, corev1.ConditionFalse, reasonSpecInvalid, f.invalid)
	} else {
		add(v1alpha1.DatasetSpecValid, corev1.ConditionTrue, health.ReasonValid, "")
	}
	if len(f.plan.Problems) > 0 {
		add(v1alpha1.DatasetMountUnsupported, corev1.ConditionTrue, reasonMountUnsupported, unsupported(f.plan))
	}
	if f.bound() {
		if c := health.RuntimeCondition(f.runtime, v1alpha1.RuntimeMountsReady); c != nil {
			add(v1alpha1.DatasetMountsReady, c.Status, c.Reason, c.Message)
		}
		if change := f.changesNotApplied(status); change != "" {
			add(v1alpha1.DatasetChangeNotApplied, corev1.ConditionTrue, health.ReasonNotSupportedYet, change)
		}
	}
	if f.deletionBlocked != "" {
		add(v1alpha1.DatasetDeletionBlocked, corev1.ConditionTrue, health.ReasonPodsMountIt, f.deletionBlocked)
	}
	return all
}

// notApplied says what the spec asks for that is not done while it is served.
func (f inputs) changesNotApplied(status v1alpha1.DatasetStatus) string {
	var sentences []string
	if f.volume.NotApplied != "" {
		sentences = append(sentences, f.volume.NotApplied)
	}
	if len(status.Mounts) > 0 && f.wasBound() && f.invalid == "" {
		if changed := f.changedMounts(); len(changed) > 0 {
			sentences = append(sentences, fmt.Sprintf(
				"spec.mounts: %s changed, and mounts of a Dataset that is served do not change yet: status.mounts says what is in place; delete the JindoRuntime and create it again to mount what the spec says",
				strings.Join(changed, ", ")))
		}
	}
	return strings.Join(sentences, "; ")
}

// keepOthers are the conditions of a Dataset of another kind of runtime, with
// ours about its deletion.
func foreignConditions(dataset *v1alpha1.Dataset, f inputs) []v1alpha1.DatasetCondition {
	var kept []v1alpha1.DatasetCondition
	for _, c := range dataset.Status.Conditions {
		if c.Type != v1alpha1.DatasetDeletionBlocked {
			kept = append(kept, c)
		}
	}
	return append(kept, condition(v1alpha1.DatasetDeletionBlocked, corev1.ConditionTrue, health.ReasonPodsMountIt, f.deletionBlocked, dataset.Generation))
}

// merge gives conditions that are as they were their old times.
func mergeConditions(old, conditions []v1alpha1.DatasetCondition, now metav1.Time) []v1alpha1.DatasetCondition {
	merged := make([]v1alpha1.DatasetCondition, 0, len(conditions))
	for _, c := range conditions {
		was := findCondition(old, c.Type)
		switch {
		case was == nil || was.Status != c.Status:
			c.LastTransitionTime, c.LastUpdateTime = now, now
		case *was == withTimes(c, *was):
			c = *was
		default:
			c.LastTransitionTime, c.LastUpdateTime = was.LastTransitionTime, now
		}
		merged = append(merged, c)
	}
	return merged
}

func withTimes(c, of v1alpha1.DatasetCondition) v1alpha1.DatasetCondition {
	c.LastTransitionTime, c.LastUpdateTime = of.LastTransitionTime, of.LastUpdateTime
	return c
}

func findCondition(conditions []v1alpha1.DatasetCondition, kind v1alpha1.DatasetConditionType) *v1alpha1.DatasetCondition {
	for i := range conditions {
		if conditions[i].Type == kind {
			return &conditions[i]
		}
	}
	return nil
}

// tell writes an event for each condition that is news. How far a runtime has
// come is none, nor is what another condition says already.
func (r *Reconciler) recordEvents(before *v1alpha1.Dataset, after []v1alpha1.DatasetCondition) {
	for _, c := range after {
		was := findCondition(before.Status.Conditions, c.Type)
		if was != nil && was.Status == c.Status && was.Reason == c.Reason && was.Message == c.Message || !recordsEvent(c) {
			continue
		}
		kind := corev1.EventTypeWarning
		if c.Type == v1alpha1.DatasetReady && c.Status == corev1.ConditionTrue {
			kind = corev1.EventTypeNormal
			if was != nil && was.Status == c.Status {
				continue
			}
		}
		message := c.Message
		if len(message) > maxEventMessage {
			message = strings.ToValidUTF8(message[:maxEventMessage], "") + "…"
		}
		r.Recorder.Eventf(before, nil, kind, c.Reason, "Reconcile", "%s", message)
	}
}

func recordsEvent(c v1alpha1.DatasetCondition) bool {
	switch c.Type {
	case v1alpha1.DatasetReady:
		return c.Reason != reasonRuntimeNotReady && c.Reason != reasonVolumeNotBound
	case v1alpha1.DatasetChangeNotApplied, v1alpha1.DatasetDeletionBlocked, v1alpha1.DatasetMountUnsupported:
		return true
	}
	return false
}
