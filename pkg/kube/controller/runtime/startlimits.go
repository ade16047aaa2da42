package runtime

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/notes"
	"github.com/jindo-io/jindo/pkg/plan"
)

// startLimits bound the start of a pod with a new template.
type startLimits struct {
	// deadline is how long the pod may take to become ready.
	deadline time.Duration
	// refusal is how long it may be impossible to create its container, for example
	// because the image cannot be pulled.
	refusal time.Duration
	// restarts is how often its container may be restarted.
	restarts int32
}

// maxCause limits the cause of a failure in the status, in bytes.
const maxCause = 400

// limits returns the limits of a role. Reads of a node wait for its FUSE server, and it has
// no log to replay.
func limits(of plan.Role) startLimits {
	if of == plan.RoleFuse {
		return startLimits{deadline: 2 * time.Minute, refusal: 30 * time.Second, restarts: 2}
	}
	return startLimits{deadline: 5 * time.Minute, refusal: time.Minute, restarts: 3}
}

// failed returns the first instance of a role that has failed, and the cause; "" if none
// has. pods have the new template, and none is ready. awaited is a pod that does not exist,
// age the time since one of them was first observed.
func (l startLimits) failed(of plan.Role, pods []corev1.Pod, awaited plan.Step, age time.Duration) (instance, cause string) {
	for i := range pods {
		pod := &pods[i]
		failure := health.PodStartFailure(pod)
		if failure != nil && l.exceeded(failure, age) {
			return instanceName(of, pod), shortCause(failure.Message)
		}
		if age >= l.deadline {
			cause := cmp.Or(health.PodReason(pod), "it runs and is not ready")
			return instanceName(of, pod), shortCause(fmt.Sprintf("%s, after %s", cause, l.deadline))
		}
	}
	if len(pods) == 0 && awaited.Role == of && age >= l.deadline {
		return awaited.Name, fmt.Sprintf("its pod was not created within %s", l.deadline)
	}
	return "", ""
}

func (l startLimits) exceeded(failure *health.StartFailure, age time.Duration) bool {
	return failure.Final || failure.Refused && age >= l.refusal || failure.Restarts >= l.restarts
}

func shortCause(text string) string { return notes.Shorten(notes.WithoutIDs(text), maxCause) }
