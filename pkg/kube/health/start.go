package health

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// StartFailure is what keeps a container from running, although its pod is on a node.
type StartFailure struct {
	// Message names the container and the cause.
	Message string
	// Refused reports that the kubelet cannot create the container, and Final that it
	// never can. Otherwise the cause of a refusal may pass, for example with an image
	// registry that is unavailable.
	Refused, Final bool
	// Restarts is how often the container was restarted.
	Restarts int32
}

var (
	// refusedReasons are the reasons of a container that the kubelet cannot create now.
	refusedReasons = []string{
		"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable",
		"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
	}
	// finalReasons are the reasons of a container that the kubelet can never create.
	finalReasons = []string{"InvalidImageName", "ErrImageNeverPull"}
)

// PodStartFailure returns what keeps a container of a pod from running, or how it ended; nil
// if all run, or are merely being created.
func PodStartFailure(pod *corev1.Pod) *StartFailure {
	for _, status := range containers(pod) {
		reason, message := waiting(status)
		failure := &StartFailure{Message: sentence("container "+status.Name+": "+reason, message), Restarts: status.RestartCount}
		switch {
		case slices.Contains(finalReasons, reason):
			failure.Refused, failure.Final = true, true
			return failure
		case slices.Contains(refusedReasons, reason):
			failure.Refused = true
			return failure
		case reason != "":
			return failure
		}
	}
	return nil
}
