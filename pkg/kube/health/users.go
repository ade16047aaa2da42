package health

import (
	"fmt"
	"strings"
)

// maxNamedPods is the maximum number of pods in a message.
const maxNamedPods = 5

// PodsMount returns the beginning of a message, "pod a mounts" or "pods a and b
// mount". It names at most five pods. users must not be empty.
func PodsMount(users []string) string {
	if len(users) == 1 {
		return "pod " + users[0] + " mounts"
	}
	return joinPods(users) + " mount"
}

func joinPods(users []string) string {
	if len(users) > maxNamedPods {
		return fmt.Sprintf("pods %s and %d more", strings.Join(users[:maxNamedPods], ", "), len(users)-maxNamedPods)
	}
	last := len(users) - 1
	return fmt.Sprintf("pods %s and %s", strings.Join(users[:last], ", "), users[last])
}
