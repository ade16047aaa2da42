package runtime

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/notes"
)

// Reasons of conditions and events.
const (
	reasonValid           = health.ReasonValid
	reasonInvalid         = health.ReasonInvalidSpec
	reasonBound           = health.ReasonBound
	reasonNotBound        = health.ReasonNotBound
	reasonDatasetInvalid  = health.ReasonDatasetInvalid
	reasonDatasetClaimed  = health.ReasonDatasetClaimed
	reasonReady           = health.ReasonReady
	reasonNotReady        = health.ReasonNotReady
	reasonComing          = health.ReasonComingUp
	reasonFailed          = health.ReasonFailed
	reasonMade            = health.ReasonMade
	reasonMissing         = health.ReasonSecretMissing
	reasonUnsupported     = health.ReasonMountUnsupported
	reasonStoreRefuses    = health.ReasonStoreRefuses
	reasonMounted         = health.ReasonMounted
	reasonMountsPending   = health.ReasonMountsPending
	reasonSpecEdited      = health.ReasonSpecEdited
	reasonOlderTemplate   = health.ReasonOlderTemplate
	reasonTooFewNodes     = health.ReasonTooFewNodes
	reasonUnschedulable   = health.ReasonUnschedulable
	reasonPodSecurity     = health.ReasonPodSecurity
	reasonHostPathRefused = health.ReasonHostPathRefused
	reasonDeletionBlocked = health.ReasonDeletionBlocked
	reasonDeleting        = health.ReasonDeleting
	reasonScaledOut       = health.ReasonScaledOut
	reasonScaledIn        = health.ReasonScaledIn
)

const maxMessage = 2048

// pendingEvent is an event that is recorded after the status has been written.
type pendingEvent struct {
	warning         bool
	reason, message string
}

// updateCondition sets one condition of a list, and reports whether its status or
// reason has changed.
func updateCondition(list *[]v1alpha1.RuntimeCondition, want v1alpha1.RuntimeCondition, now metav1.Time) bool {
	want.Message = notes.Shorten(want.Message, maxMessage)
	for i := range *list {
		current := &(*list)[i]
		if current.Type != want.Type {
			continue
		}
		changed := current.Status != want.Status || current.Reason != want.Reason
		if current.Status != want.Status {
			current.LastTransitionTime = now
			current.LastProbeTime = now
		}
		current.Status, current.Reason, current.Message = want.Status, want.Reason, want.Message
		current.ObservedGeneration = want.ObservedGeneration
		return changed
	}
	want.LastTransitionTime, want.LastProbeTime = now, now
	*list = append(*list, want)
	return true
}

// removeCondition removes a condition, and reports whether it existed.
func removeCondition(list *[]v1alpha1.RuntimeCondition, kind v1alpha1.RuntimeConditionType) bool {
	for i, c := range *list {
		if c.Type == kind {
			*list = append((*list)[:i], (*list)[i+1:]...)
			return true
		}
	}
	return false
}

// setCondition sets a condition that always exists; True is the desired state.
func (p *pass) setCondition(kind v1alpha1.RuntimeConditionType, ok bool, reason, message string) {
	status := corev1.ConditionFalse
	if ok {
		status = corev1.ConditionTrue
	}
	changed := updateCondition(&p.status.Conditions, v1alpha1.RuntimeCondition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: p.runtime.Generation,
	}, p.now)
	if changed && p.recordsEvent(kind, ok) {
		p.events = append(p.events, pendingEvent{warning: !ok, reason: reason, message: message})
	}
}

// recordsEvent reports whether a change of a condition is recorded as an event:
// problems that the user must fix, their resolution, and changes of readiness.
func (p *pass) recordsEvent(kind v1alpha1.RuntimeConditionType, ok bool) bool {
	switch kind {
	case v1alpha1.RuntimeSpecValid, v1alpha1.RuntimeCredentialsReady:
		return !ok || p.previousStatus(kind) == corev1.ConditionFalse
	case v1alpha1.RuntimeDatasetBound:
		return true
	case v1alpha1.RuntimeReady, v1alpha1.RuntimeMountsReady:
		return ok || p.previousStatus(kind) == corev1.ConditionTrue || kind == v1alpha1.RuntimeMountsReady && p.storeFailed
	}
	return false
}

// setStatusScaling records when workers are added or removed. The cache of a removed
// worker is lost.
func (p *pass) setStatusScaling(ctx context.Context) error {
	if p.plan.Workers == nil {
		return nil
	}
	set, err := p.statefulSet(ctx, p.plan.Workers.Name)
	if err != nil || set == nil || set.Spec.Replicas == nil {
		return err
	}
	before, now := *set.Spec.Replicas, p.plan.Workers.Replicas
	condition := v1alpha1.RuntimeCondition{
		Status: corev1.ConditionTrue, ObservedGeneration: p.runtime.Generation,
		Message: fmt.Sprintf("scaling workers from %d to %d", before, now),
	}
	switch {
	case now > before:
		condition.Type, condition.Reason = v1alpha1.RuntimeWorkersScaledOut, reasonScaledOut
	case now < before:
		condition.Type, condition.Reason = v1alpha1.RuntimeWorkersScaledIn, reasonScaledIn
		condition.Message += ": the cache of removed workers is lost, their data is read from the store again"
	default:
		return nil
	}
	removeCondition(&p.status.Conditions, condition.Type)
	updateCondition(&p.status.Conditions, condition, p.now)
	p.events = append(p.events, pendingEvent{warning: now < before, reason: condition.Reason, message: condition.Message})
	return nil
}

// previousStatus returns the status of a condition before this pass.
func (p *pass) previousStatus(kind v1alpha1.RuntimeConditionType) corev1.ConditionStatus {
	if c := health.RuntimeCondition(p.runtime, kind); c != nil {
		return c.Status
	}
	return ""
}

// setProblem sets a condition that exists only while there is a problem; an empty
// message removes it.
func (p *pass) setProblem(kind v1alpha1.RuntimeConditionType, reason, message string) {
	if message == "" {
		removeCondition(&p.status.Conditions, kind)
		return
	}
	changed := updateCondition(&p.status.Conditions, v1alpha1.RuntimeCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: p.runtime.Generation,
	}, p.now)
	if changed {
		p.events = append(p.events, pendingEvent{warning: true, reason: string(kind), message: message})
	}
}
