package dataset

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/notes"
)

// conditions returns all conditions of a Dataset, in a fixed order. Conditions that
// it does not return are removed.
func conditions(f inputs, status v1alpha1.DatasetStatus) []v1alpha1.DatasetCondition {
	generation := f.dataset.Generation
	var all []v1alpha1.DatasetCondition
	add := func(kind v1alpha1.DatasetConditionType, status corev1.ConditionStatus, reason, message string) {
		all = append(all, condition(kind, status, reason, message, generation))
	}
	if reason, message := f.notReady(); reason == "" {
		add(v1alpha1.DatasetReady, corev1.ConditionTrue, reasonReady, fmt.Sprintf("bound to JindoRuntime %s", f.runtime.Name))
	} else {
		add(v1alpha1.DatasetReady, corev1.ConditionFalse, reason, message)
		if status.Phase == v1alpha1.FailedDatasetPhase {
			add(v1alpha1.DatasetNotReady, corev1.ConditionTrue, health.ReasonDatasetFailedToSetup, message)
		}
	}
	switch {
	case f.invalid != "":
		message := f.invalid
		if f.servesBefore() {
			message += "; the Dataset is served as before this edit: correct it, or apply the previous manifest"
		}
		add(v1alpha1.DatasetSpecValid, corev1.ConditionFalse, reasonSpecInvalid, message)
	case !f.otherRuntime:
		add(v1alpha1.DatasetSpecValid, corev1.ConditionTrue, health.ReasonValid, "")
	}
	if f.runtime != nil && len(f.plan.Problems) > 0 {
		add(v1alpha1.DatasetMountUnsupported, corev1.ConditionTrue, reasonMountUnsupported, unsupported(f.plan))
	}
	if f.bound() {
		if c := health.RuntimeCondition(f.runtime, v1alpha1.RuntimeMountsReady); c != nil {
			add(v1alpha1.DatasetMountsReady, c.Status, c.Reason, notes.WithoutIDs(c.Message))
		}
		// Mounts may work with the credentials that were read before.
		if c := health.RuntimeCondition(f.runtime, v1alpha1.RuntimeCredentialsReady); c != nil && c.Status == corev1.ConditionFalse {
			add(v1alpha1.DatasetCredentialsReady, c.Status, c.Reason, notes.WithoutIDs(c.Message))
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

// changesNotApplied describes the changes of the spec that are not applied while the
// Dataset is served; empty if there are none.
func (f inputs) changesNotApplied(status v1alpha1.DatasetStatus) string {
	var messages []string
	if f.volume.NotApplied != "" {
		messages = append(messages, f.volume.NotApplied)
	}
	if len(status.Mounts) > 0 && f.wasBound() && f.invalid == "" {
		// The runtime reads an edit a moment later.
		reported := f.effective() == nil || health.RuntimeCondition(f.runtime, v1alpha1.RuntimeChangeNotApplied) != nil
		if changed := f.changedMounts(); len(changed) > 0 && reported {
			messages = append(messages, fmt.Sprintf(
				"spec.mounts: %s changed and not carried out yet (status.mounts has the current mounts): condition ChangeNotApplied of JindoRuntime %s has the reason",
				strings.Join(changed, ", "), f.runtime.Name))
		}
	}
	return strings.Join(messages, "; ")
}

// foreignConditions returns the existing conditions of a Dataset that another kind
// of runtime serves, with the condition DeletionBlocked added.
func foreignConditions(dataset *v1alpha1.Dataset, f inputs) []v1alpha1.DatasetCondition {
	var kept []v1alpha1.DatasetCondition
	for _, c := range dataset.Status.Conditions {
		if c.Type != v1alpha1.DatasetDeletionBlocked {
			kept = append(kept, c)
		}
	}
	return append(kept, condition(v1alpha1.DatasetDeletionBlocked, corev1.ConditionTrue, health.ReasonPodsMountIt, f.deletionBlocked, dataset.Generation))
}

// mergeConditions keeps the timestamps of unchanged conditions.
func mergeConditions(old, conditions []v1alpha1.DatasetCondition, now metav1.Time) []v1alpha1.DatasetCondition {
	merged := make([]v1alpha1.DatasetCondition, 0, len(conditions))
	for _, c := range conditions {
		previous := findCondition(old, c.Type)
		switch {
		case previous == nil || previous.Status != c.Status:
			c.LastTransitionTime, c.LastUpdateTime = now, now
		case *previous == withTimes(c, *previous):
			c = *previous
		default:
			c.LastTransitionTime, c.LastUpdateTime = previous.LastTransitionTime, now
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

// recordEvents records an event for each changed condition that users must know
// about. The progress of a runtime is not one, nor is a condition that repeats
// another one, nor another message of stores that fail already.
func (r *Reconciler) recordEvents(before *v1alpha1.Dataset, after []v1alpha1.DatasetCondition) {
	for _, c := range after {
		previous := health.DatasetCondition(before, c.Type)
		same := previous != nil && previous.Status == c.Status && previous.Reason == c.Reason
		if same && (previous.Message == c.Message || c.Reason == reasonMountsNotReady || c.Reason == reasonSomeStoresRefuse) || !recordsEvent(c, after) {
			continue
		}
		kind := corev1.EventTypeWarning
		if c.Type == v1alpha1.DatasetReady && c.Status == corev1.ConditionTrue {
			kind = corev1.EventTypeNormal
			if previous != nil && previous.Status == c.Status {
				continue
			}
		}
		r.Recorder.Eventf(before, nil, kind, c.Reason, "Reconcile", "%s", notes.Shorten(c.Message, notes.EventLimit))
	}
}

// recordsEvent reports whether a change of a condition is recorded as an event.
func recordsEvent(c v1alpha1.DatasetCondition, all []v1alpha1.DatasetCondition) bool {
	switch c.Type {
	case v1alpha1.DatasetSpecValid: // Ready says the same unless the Dataset is served as before.
		ready := findCondition(all, v1alpha1.DatasetReady)
		return c.Status == corev1.ConditionFalse && ready != nil && ready.Reason != reasonSpecInvalid
	case v1alpha1.DatasetReady:
		return c.Reason != reasonRuntimeNotReady && c.Reason != reasonVolumeNotBound
	case v1alpha1.DatasetMountsReady: // Ready has the message unless other mounts are served.
		return c.Reason == reasonSomeStoresRefuse
	case v1alpha1.DatasetChangeNotApplied, v1alpha1.DatasetDeletionBlocked, v1alpha1.DatasetMountUnsupported:
		return true
	}
	return false
}
