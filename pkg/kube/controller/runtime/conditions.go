package runtime

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
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
	reasonDeletionBlocked = health.ReasonDeletionBlocked
	reasonDeleting        = health.ReasonDeleting
	reasonScaledOut       = health.ReasonScaledOut
	reasonScaledIn        = health.ReasonScaledIn
)

const maxMessage = 2048

// news is a condition that changed and that people are told of in an event.
type pendingEvent struct {
	warning         bool
	reason, message string
}

// setCondition changes one condition of a list, and answers whether its status
// or reason changed.
func updateCondition(list *[]v1alpha1.RuntimeCondition, want v1alpha1.RuntimeCondition, now metav1.Time) bool {
	if len(want.Message) > maxMessage {
		want.Message = want.Message[:maxMessage] + "…"
	}
	for i := range *list {
		there := &(*list)[i]
		if there.Type != want.Type {
			continue
		}
		changed := there.Status != want.Status || there.Reason != want.Reason
		if there.Status != want.Status {
			there.LastTransitionTime = now
			there.LastProbeTime = now
		}
		there.Status, there.Reason, there.Message = want.Status, want.Reason, want.Message
		there.ObservedGeneration = want.ObservedGeneration
		return changed
	}
	want.LastTransitionTime, want.LastProbeTime = now, now
	*list = append(*list, want)
	return true
}

// dropCondition removes a condition, and answers whether it was there.
func removeCondition(list *[]v1alpha1.RuntimeCondition, kind v1alpha1.RuntimeConditionType) bool {
	for i, c := range *list {
		if c.Type == kind {
			*list = append((*list)[:i], (*list)[i+1:]...)
			return true
		}
	}
	return false
}

// is sets a condition that is always there: True is how it should be.
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

// tells which changes are worth an event: what a person has to mend, that it
// is mended, and that the whole is ready or no longer.
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

// tellScaling says when workers are added and, because what they cache goes with
// them, when they are taken away.
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
		Message: fmt.Sprintf("workers go from %d to %d", before, now),
	}
	switch {
	case now > before:
		condition.Type, condition.Reason = v1alpha1.RuntimeWorkersScaledOut, reasonScaledOut
	case now < before:
		condition.Type, condition.Reason = v1alpha1.RuntimeWorkersScaledIn, reasonScaledIn
		condition.Message += ": what those cached that go is read from the store again"
	default:
		return nil
	}
	removeCondition(&p.status.Conditions, condition.Type)
	updateCondition(&p.status.Conditions, condition, p.now)
	p.events = append(p.events, pendingEvent{warning: now < before, reason: condition.Reason, message: condition.Message})
	return nil
}

// was is the status of a condition before this pass.
func (p *pass) previousStatus(kind v1alpha1.RuntimeConditionType) corev1.ConditionStatus {
	for _, c := range p.runtime.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

// trouble sets a condition that is there only while something is wrong; an
// empty message removes it.
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
