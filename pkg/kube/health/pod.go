package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PodReady reports whether the pod's condition Ready is True.
func PodReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// startupReasons are the reasons of warnings that a normal start can cause: a pod
// waits for its volume, and its probes fail until it serves.
var startupReasons = []string{"FailedMount", "FailedScheduling", "Unhealthy"}

// PodRuns reports whether a pod is on a node and all its containers have been started. A
// pod whose image does not exist, or whose container is restarted with a backoff, does
// not run.
func PodRuns(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" || pod.Status.Phase != corev1.PodRunning {
		return false
	}
	return !slices.ContainsFunc(containers(pod), func(c corev1.ContainerStatus) bool { return c.State.Waiting != nil })
}

// StartupWarningResolved reports whether an event at the given time is a warning
// about the start of the pod, which became ready afterwards.
func StartupWarningResolved(event *corev1.Event, at time.Time, pod *corev1.Pod) bool {
	if !slices.Contains(startupReasons, event.Reason) || event.InvolvedObject.Kind != "Pod" || event.InvolvedObject.UID != pod.UID {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && !c.LastTransitionTime.Time.Before(at.Truncate(time.Second))
		}
	}
	return false
}

// PodDone reports whether all containers have terminated for good.
func PodDone(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// PodLevel returns Ready for a pod that is ready or has succeeded, and Failed for
// one that has failed or cannot become ready.
func PodLevel(pod *corev1.Pod) Level {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded, PodReady(pod):
		return Ready
	case pod.Status.Phase == corev1.PodFailed, PodReason(pod) != "":
		return Failed
	}
	return Pending
}

// PodState returns the word that kubectl get pods prints, such as Running,
// Pending, ImagePullBackOff or Terminating; a pod that runs and is not ready is
// NotReady.
func PodState(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "Terminating"
	}
	if pod.Status.Reason != "" {
		return pod.Status.Reason
	}
	for _, status := range containers(pod) {
		if reason, _ := waiting(status); reason != "" {
			return reason
		}
	}
	if pod.Status.Phase == corev1.PodRunning && !PodReady(pod) {
		return "NotReady"
	}
	return cmp.Or(string(pod.Status.Phase), string(corev1.PodPending))
}

// PodRestarts returns the number of restarts of all containers.
func PodRestarts(pod *corev1.Pod) int {
	restarts := 0
	for _, status := range containers(pod) {
		restarts += int(status.RestartCount)
	}
	return restarts
}

// PodUnschedulable returns the scheduler's message about a pod that it found no
// node for.
func PodUnschedulable(pod *corev1.Pod) (message string, unschedulable bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return c.Message, true
		}
	}
	return "", false
}

// PodReason returns a sentence about what keeps the pod from being ready. It is
// empty for a pod that is ready, has succeeded, or is merely starting.
func PodReason(pod *corev1.Pod) string {
	if PodReady(pod) || pod.Status.Phase == corev1.PodSucceeded {
		return ""
	}
	if pod.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return sentence("no node is available", c.Message)
		}
	}
	for _, status := range containers(pod) {
		if reason, message := waiting(status); reason != "" {
			return sentence(fmt.Sprintf("container %s: %s", status.Name, reason), message)
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return sentence("it failed", cmp.Or(pod.Status.Message, pod.Status.Reason))
	}
	return ""
}

// waiting returns why a container does not run. The reason is empty for a
// container that runs, has succeeded, or is being created.
func waiting(status corev1.ContainerStatus) (reason, message string) {
	if w := status.State.Waiting; w != nil {
		switch w.Reason {
		case "", "ContainerCreating", "PodInitializing":
			return "", ""
		case "CrashLoopBackOff":
			if t := status.LastTerminationState.Terminated; t != nil {
				return w.Reason, exit(t)
			}
		}
		return w.Reason, w.Message
	}
	if t := status.State.Terminated; t != nil && t.ExitCode != 0 {
		return cmp.Or(t.Reason, "Error"), exit(t)
	}
	return "", ""
}

// exit describes a termination by its exit code and the last line of its message.
func exit(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	message := strings.TrimSpace(t.Message)
	if message = message[strings.LastIndexByte(message, '\n')+1:]; message != "" {
		text += ": " + message
	}
	return text
}

func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	all := make([]corev1.ContainerStatus, 0, len(pod.Status.InitContainerStatuses)+len(pod.Status.ContainerStatuses))
	return append(append(all, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

func sentence(what, why string) string {
	if why = oneLine(why); why == "" {
		return what
	}
	return what + ": " + why
}

// NodeReady reports whether the node's condition Ready is True, and since when
// the condition has had its status. A node without the condition is not ready
// since the zero time.
func NodeReady(node *corev1.Node) (ready bool, since time.Time) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
		}
	}
	return false, time.Time{}
}

// ClaimLevel returns Ready for a claim that is bound, and Failed for one that has
// lost its volume.
func ClaimLevel(claim *corev1.PersistentVolumeClaim) Level {
	switch claim.Status.Phase {
	case corev1.ClaimBound:
		return Ready
	case corev1.ClaimLost:
		return Failed
	}
	return Pending
}

// VolumeLevel returns Ready for a volume that is bound, and Failed for one whose
// reclaiming failed.
func VolumeLevel(volume *corev1.PersistentVolume) Level {
	switch volume.Status.Phase {
	case corev1.VolumeBound:
		return Ready
	case corev1.VolumeFailed:
		return Failed
	}
	return Pending
}

// CountLevel returns Ready when at least as many are ready as are desired.
func CountLevel(ready, desired int32) Level {
	if ready >= desired {
		return Ready
	}
	return Pending
}
