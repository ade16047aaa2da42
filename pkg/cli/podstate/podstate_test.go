package podstate_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/podstate"
)

func TestPods(t *testing.T) {
	waits := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	crashed := waits("CrashLoopBackOff", "back-off 5m0s")
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Message: "starting\nno such disk\n"}
	with := func(phase corev1.PodPhase, statuses ...corev1.ContainerStatus) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{Phase: phase, ContainerStatuses: statuses}}
	}
	ready := with(corev1.PodRunning)
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	nowhere := with(corev1.PodPending)
	nowhere.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes"}}
	going := ready
	going.DeletionTimestamp = &metav1.Time{}
	evicted := with(corev1.PodFailed)
	evicted.Status.Reason, evicted.Status.Message = "Evicted", "The node was low on resource: memory."
	for name, test := range map[string]struct {
		pod          corev1.Pod
		word, reason string
	}{
		"ready":        {ready, "Running", ""},
		"new":          {corev1.Pod{}, "Pending", ""},
		"on its way":   {with(corev1.PodPending, waits("ContainerCreating", "")), "Pending", ""},
		"not ready":    {with(corev1.PodRunning), "NotReady", ""},
		"done":         {with(corev1.PodSucceeded), "Succeeded", ""},
		"no node":      {nowhere, "Pending", "no node takes it: 0/3 nodes"},
		"no image":     {with(corev1.PodPending, waits("ImagePullBackOff", "not found")), "ImagePullBackOff", "container c: ImagePullBackOff: not found"},
		"crashes":      {with(corev1.PodRunning, crashed), "CrashLoopBackOff", "container c: CrashLoopBackOff: it ended with code 1: no such disk"},
		"being gone":   {going, "Terminating", ""},
		"out of means": {evicted, "Evicted", "it failed: The node was low on resource: memory."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := podstate.Word(&test.pod); got != test.word {
				t.Errorf("word %q, want %q", got, test.word)
			}
			if got := podstate.Reason(&test.pod); got != test.reason {
				t.Errorf("reason %q, want %q", got, test.reason)
			}
		})
	}
}
