// Package podstate sums a pod up: in the word that kubectl prints, and in a
// sentence that says what keeps it from being ready.
package podstate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Ready says whether the pod is.
func Ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Done says whether its containers have ended and stay so.
func Done(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Word is the pod's state in a word: Running, Pending, ImagePullBackOff,
// Terminating.
func Word(pod *corev1.Pod) string {
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
	if pod.Status.Phase == "" {
		return string(corev1.PodPending)
	}
	if pod.Status.Phase == corev1.PodRunning && !Ready(pod) {
		return "NotReady"
	}
	return string(pod.Status.Phase)
}

// Restarts of all its containers.
func Restarts(pod *corev1.Pod) int {
	restarts := 0
	for _, status := range containers(pod) {
		restarts += int(status.RestartCount)
	}
	return restarts
}

// Reason is what keeps the pod from being ready, for people; empty when it is,
// when it has done its work, and when it is merely starting.
func Reason(pod *corev1.Pod) string {
	if Ready(pod) || pod.Status.Phase == corev1.PodSucceeded {
		return ""
	}
	if pod.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return sentence("no node takes it", c.Message)
		}
	}
	for _, status := range containers(pod) {
		if reason, message := waiting(status); reason != "" {
			return sentence(fmt.Sprintf("container %s: %s", status.Name, reason), message)
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return sentence("it failed", firstOf(pod.Status.Message, pod.Status.Reason))
	}
	return ""
}

// waiting is why a container does not run, unless it is on its way.
func waiting(status corev1.ContainerStatus) (reason, message string) {
	if w := status.State.Waiting; w != nil {
		switch w.Reason {
		case "", "ContainerCreating", "PodInitializing":
			return "", ""
		case "CrashLoopBackOff":
			if t := status.LastTerminationState.Terminated; t != nil {
				return w.Reason, ended(t)
			}
		}
		return w.Reason, w.Message
	}
	if t := status.State.Terminated; t != nil && t.ExitCode != 0 {
		return firstOf(t.Reason, "Error"), ended(t)
	}
	return "", ""
}

func ended(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("it ended with code %d", t.ExitCode)
	if message := lastLine(t.Message); message != "" {
		text += ": " + message
	}
	return text
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	all := make([]corev1.ContainerStatus, 0, len(pod.Status.InitContainerStatuses)+len(pod.Status.ContainerStatuses))
	return append(append(all, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

func sentence(what, why string) string {
	if why = strings.TrimSpace(why); why == "" {
		return what
	}
	return what + ": " + strings.Join(strings.Fields(why), " ")
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
