package health_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

func TestPodStartFailure(t *testing.T) {
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "why"}}
	}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}
	}
	running := corev1.ContainerStatus{Name: "first", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	for name, test := range map[string]struct {
		state corev1.ContainerState
		want  *health.StartFailure
	}{
		"runs":            {running.State, nil},
		"unknown":         {corev1.ContainerState{}, nil},
		"being created":   {waiting("ContainerCreating"), nil},
		"no image":        {waiting("ErrImagePull"), &health.StartFailure{Message: "container c: ErrImagePull: why", Refused: true, Restarts: 2}},
		"no Secret":       {waiting("CreateContainerConfigError"), &health.StartFailure{Message: "container c: CreateContainerConfigError: why", Refused: true, Restarts: 2}},
		"name of image":   {waiting("InvalidImageName"), &health.StartFailure{Message: "container c: InvalidImageName: why", Refused: true, Final: true, Restarts: 2}},
		"crashes":         {waiting("CrashLoopBackOff"), &health.StartFailure{Message: "container c: CrashLoopBackOff: why", Restarts: 2}},
		"has ended":       {ended(1), &health.StartFailure{Message: "container c: Error: exit code 1", Restarts: 2}},
		"ended with 0":    {ended(0), nil},
		"a future reason": {waiting("Unheard"), &health.StartFailure{Message: "container c: Unheard: why", Restarts: 2}},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running, {Name: "c", RestartCount: 2, State: test.state}}}}
		got := health.PodStartFailure(pod)
		if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
