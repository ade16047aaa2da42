package runtime

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
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
	reasonSomeRefuse      = health.ReasonSomeStoresRefuse
	reasonMounted         = health.ReasonMounted
	reasonMountsPending   = health.ReasonMountsPending
	reasonNotSupported    = health.ReasonNotSupportedYet
	reasonSpecEdited      = health.ReasonSpecEdited
	reasonOlderTemplate   = health.ReasonOlderTemplate
	reasonUpdating        = health.ReasonUpdating
	reasonUpdatesPaused   = health.ReasonUpdatesPaused
	reasonFirstPodFailed  = health.ReasonFirstPodFailed
	reasonLaterPodFailed  = health.ReasonLaterPodFailed
	reasonTooFewNodes     = health.ReasonTooFewNodes
	reasonUnschedulable   = health.ReasonUnschedulable
	reasonPodSecurity     = health.ReasonPodSecurity
	reasonHostPathRefused = health.ReasonHostPathRefused
	reasonScheduleUnmet   = health.ReasonScheduleUnmet
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

// report is the result of one pass: the next status of a runtime, the events to record,
// and the time until the next pass. Every sub-reconciler adds to it what users see.
type report struct {
	// runtime is the object as it was read. Its status is the previous one.
	runtime *v1alpha1.JindoRuntime
	status  *v1alpha1.RuntimeStatus
	now     metav1.Time
	events  []pendingEvent
	// requeueAfter is the time until the next pass; 0 waits for a change.
	requeueAfter time.Duration
}

func newReport(runtime *v1alpha1.JindoRuntime, now time.Time) *report {
	return &report{runtime: runtime, status: runtime.Status.DeepCopy(), now: metav1.NewTime(now), requeueAfter: notReadyInterval}
}

// setCondition sets a condition that always exists; True is the desired state.
func (r *report) setCondition(kind v1alpha1.RuntimeConditionType, ok bool, reason, message string) {
	status := corev1.ConditionFalse
	if ok {
		status = corev1.ConditionTrue
	}
	changed := updateCondition(&r.status.Conditions, v1alpha1.RuntimeCondition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: r.runtime.Generation,
	}, r.now)
	if changed && r.recordsEvent(kind, ok, reason) {
		r.addEvent(!ok, reason, message)
	}
}

// recordsEvent reports whether a change of a condition is recorded as an event:
// problems that the user must fix, their resolution, and changes of readiness.
func (r *report) recordsEvent(kind v1alpha1.RuntimeConditionType, ok bool, reason string) bool {
	switch kind {
	case v1alpha1.RuntimeSpecValid, v1alpha1.RuntimeCredentialsReady:
		return !ok || r.previousStatus(kind) == corev1.ConditionFalse
	case v1alpha1.RuntimeDatasetBound:
		return true
	case v1alpha1.RuntimeReady, v1alpha1.RuntimeMountsReady:
		return ok || r.previousStatus(kind) == corev1.ConditionTrue || reason == reasonStoreRefuses || reason == reasonSomeRefuse
	}
	return false
}

// setProblem sets a condition that exists only while there is a problem; an empty
// message removes it.
func (r *report) setProblem(kind v1alpha1.RuntimeConditionType, reason, message string) {
	if r.setNote(kind, reason, message) {
		r.addEvent(true, string(kind), message)
	}
}

// setNote sets a condition that exists only while its message is not empty, and reports
// whether the condition is new or has a new reason.
func (r *report) setNote(kind v1alpha1.RuntimeConditionType, reason, message string) bool {
	if message == "" {
		removeCondition(&r.status.Conditions, kind)
		return false
	}
	return updateCondition(&r.status.Conditions, v1alpha1.RuntimeCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: r.runtime.Generation,
	}, r.now)
}

func (r *report) addEvent(warning bool, reason, message string) {
	r.events = append(r.events, pendingEvent{warning: warning, reason: reason, message: message})
}

// previousStatus returns the status of a condition before this pass.
func (r *report) previousStatus(kind v1alpha1.RuntimeConditionType) corev1.ConditionStatus {
	if c := health.RuntimeCondition(r.runtime, kind); c != nil {
		return c.Status
	}
	return ""
}

// age returns the age of the runtime.
func (r *report) age() time.Duration { return r.now.Sub(r.runtime.CreationTimestamp.Time) }

// setFailed sets the condition Ready to the error of the pass. Transient errors are
// not reported.
func (r *report) setFailed(err error) {
	if err == nil || isTransient(err) {
		return
	}
	r.setCondition(v1alpha1.RuntimeReady, false, reasonFailed, errorMessage(err))
	r.requeueAfter = notReadyInterval
}

// save writes the status if it has changed, and then records the events.
func (r *report) save(ctx context.Context, c client.Client, recorder events.EventRecorder) error {
	if !equality.Semantic.DeepEqual(r.status, &r.runtime.Status) {
		next := r.runtime.DeepCopy()
		next.Status = *r.status
		if err := c.Status().Update(ctx, next, client.FieldOwner(names.FieldManager)); err != nil {
			return fmt.Errorf("write status of JindoRuntime %s/%s: %w", r.runtime.Namespace, r.runtime.Name, err)
		}
		r.runtime.ResourceVersion, r.runtime.Status = next.ResourceVersion, *r.status.DeepCopy()
	}
	for _, n := range r.events {
		kind := corev1.EventTypeNormal
		if n.warning {
			kind = corev1.EventTypeWarning
		}
		recorder.Eventf(r.runtime, nil, kind, n.reason, "Reconcile", "%s", notes.Shorten(n.message, notes.EventLimit))
	}
	r.events = nil
	return nil
}
