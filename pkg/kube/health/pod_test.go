package health_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

func TestPods(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	crashed := waiting("CrashLoopBackOff", "back-off 5m0s")
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Message: "starting\ndisk not found\n"}
	with := func(phase corev1.PodPhase, statuses ...corev1.ContainerStatus) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{Phase: phase, ContainerStatuses: statuses}}
	}
	ready := with(corev1.PodRunning)
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	unplaced := with(corev1.PodPending)
	unplaced.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes"}}
	deleted := ready
	deleted.DeletionTimestamp = &metav1.Time{}
	evicted := with(corev1.PodFailed)
	evicted.Status.Reason, evicted.Status.Message = "Evicted", "The node was low on resource: memory."
	for name, test := range map[string]struct {
		pod           corev1.Pod
		state, reason string
		level         health.Level
	}{
		"ready":         {ready, "Running", "", health.Ready},
		"new":           {corev1.Pod{}, "Pending", "", health.Pending},
		"being created": {with(corev1.PodPending, waiting("ContainerCreating", "")), "Pending", "", health.Pending},
		"not ready":     {with(corev1.PodRunning), "NotReady", "", health.Pending},
		"done":          {with(corev1.PodSucceeded), "Succeeded", "", health.Ready},
		"no node":       {unplaced, "Pending", "no node is available: 0/3 nodes", health.Failed},
		"no image":      {with(corev1.PodPending, waiting("ImagePullBackOff", "not found")), "ImagePullBackOff", "container c: ImagePullBackOff: not found", health.Failed},
		"crashes":       {with(corev1.PodRunning, crashed), "CrashLoopBackOff", "container c: CrashLoopBackOff: exit code 1: disk not found", health.Failed},
		"being deleted": {deleted, "Terminating", "", health.Ready},
		"evicted":       {evicted, "Evicted", "it failed: The node was low on resource: memory.", health.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := health.PodState(&test.pod); got != test.state {
				t.Errorf("state %q, want %q", got, test.state)
			}
			if got := health.PodLevel(&test.pod); got != test.level {
				t.Errorf("level %s, want %s", got, test.level)
			}
			if got := health.PodReason(&test.pod); got != test.reason {
				t.Errorf("reason %q, want %q", got, test.reason)
			}
		})
	}
}

func TestPodUnschedulable(t *testing.T) {
	pod := &corev1.Pod{}
	if _, unschedulable := health.PodUnschedulable(pod); unschedulable {
		t.Error("a pod without conditions is unschedulable")
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes"}}
	if message, unschedulable := health.PodUnschedulable(pod); !unschedulable || message != "0/3 nodes" {
		t.Errorf("%q, %v", message, unschedulable)
	}
}

func TestNodeReady(t *testing.T) {
	since := metav1.NewTime(metav1.Now().Rfc3339Copy().Time)
	for _, status := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown} {
		node := &corev1.Node{}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, LastTransitionTime: since}}
		if ready, at := health.NodeReady(node); ready != (status == corev1.ConditionTrue) || !at.Equal(since.Time) {
			t.Errorf("status %s: ready %v since %v", status, ready, at)
		}
	}
	if ready, at := health.NodeReady(&corev1.Node{}); ready || !at.IsZero() {
		t.Errorf("without conditions: ready %v since %v", ready, at)
	}
}

func TestClaimsAndVolumes(t *testing.T) {
	for phase, want := range map[corev1.PersistentVolumeClaimPhase]health.Level{
		"": health.Pending, corev1.ClaimPending: health.Pending, corev1.ClaimBound: health.Ready, corev1.ClaimLost: health.Failed,
	} {
		claim := &corev1.PersistentVolumeClaim{}
		claim.Status.Phase = phase
		if got := health.ClaimLevel(claim); got != want {
			t.Errorf("claim %q: %s, want %s", phase, got, want)
		}
	}
	for phase, want := range map[corev1.PersistentVolumePhase]health.Level{
		"": health.Pending, corev1.VolumePending: health.Pending, corev1.VolumeAvailable: health.Pending,
		corev1.VolumeBound: health.Ready, corev1.VolumeReleased: health.Pending, corev1.VolumeFailed: health.Failed,
	} {
		volume := &corev1.PersistentVolume{}
		volume.Status.Phase = phase
		if got := health.VolumeLevel(volume); got != want {
			t.Errorf("volume %q: %s, want %s", phase, got, want)
		}
	}
}

func TestStartupWarningResolved(t *testing.T) {
	at := time.Date(2026, 1, 1, 10, 0, 0, 500, time.UTC)
	pod := func(status corev1.ConditionStatus, since time.Time) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{UID: "a"},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(since),
			}}},
		}
	}
	event := func(reason, uid string) *corev1.Event {
		return &corev1.Event{Reason: reason, InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: types.UID(uid)}}
	}
	for name, test := range map[string]struct {
		event *corev1.Event
		pod   *corev1.Pod
		want  bool
	}{
		"ready since":         {event("Unhealthy", "a"), pod(corev1.ConditionTrue, at.Add(time.Minute)), true},
		"scheduled since":     {event("FailedScheduling", "a"), pod(corev1.ConditionTrue, at.Add(time.Minute)), true},
		"mounted since":       {event("FailedMount", "a"), pod(corev1.ConditionTrue, at.Add(time.Minute)), true},
		"ready within second": {event("Unhealthy", "a"), pod(corev1.ConditionTrue, at.Truncate(time.Second)), true},
		"ready before":        {event("Unhealthy", "a"), pod(corev1.ConditionTrue, at.Add(-time.Minute)), false},
		"not ready":           {event("Unhealthy", "a"), pod(corev1.ConditionFalse, at.Add(time.Minute)), false},
		"another reason":      {event("BackOff", "a"), pod(corev1.ConditionTrue, at.Add(time.Minute)), false},
		"an earlier pod":      {event("Unhealthy", "b"), pod(corev1.ConditionTrue, at.Add(time.Minute)), false},
		"no condition":        {event("Unhealthy", "a"), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "a"}}, false},
	} {
		if got := health.StartupWarningResolved(test.event, at, test.pod); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
