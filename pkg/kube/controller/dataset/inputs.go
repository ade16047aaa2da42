package dataset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/plan"
)

// Reasons of the condition Ready, in the order in which they are looked for.
const (
	reasonSpecInvalid      = health.ReasonSpecInvalid
	reasonNotBound         = health.ReasonNotBound
	reasonMountUnsupported = health.ReasonMountUnsupported
	reasonVolumeConflict   = health.ReasonVolumeConflict
	reasonMountsNotReady   = health.ReasonMountsNotReady
	reasonRuntimeNotReady  = health.ReasonRuntimeNotReady
	reasonVolumeNotBound   = health.ReasonVolumeNotBound
	reasonReady            = health.ReasonDatasetReady
)

// facts are what a status is made of.
type inputs struct {
	dataset  *v1alpha1.Dataset
	others   []*v1alpha1.Dataset
	runtimes []*v1alpha1.JindoRuntime
	// runtime that serves it; nil when none does.
	runtime *v1alpha1.JindoRuntime
	// leaving: the runtime is being deleted and its volume is gone.
	runtimeTerminating bool
	// foreign: a runtime of another kind serves it.
	foreign bool
	plan    plan.Plan
	volume  datasetvolume.State
	// Sentences; empty when there is nothing to say.
	invalid, leftover, deletionBlocked string
}

// bound holds for a Dataset that a runtime serves.
func (f inputs) bound() bool { return f.runtime != nil && !f.runtimeTerminating }

// wasBound holds for a Dataset that has been served.
func (f inputs) wasBound() bool {
	status := f.dataset.Status
	return status.Phase == v1alpha1.BoundDatasetPhase || status.Phase == v1alpha1.FailedDatasetPhase && len(status.Mounts) > 0
}

// unbound says what to write so that a runtime serves the Dataset.
func (f inputs) unboundMessage() string {
	name := f.dataset.Name
	if f.runtimeTerminating {
		return fmt.Sprintf("JindoRuntime %q, which served it, is being deleted: create a JindoRuntime %q to serve it again", f.runtime.Name, name)
	}
	text := fmt.Sprintf("no JindoRuntime serves it: create a JindoRuntime %q, or name the Dataset in another one's annotation %s: %s",
		name, v1alpha1.DatasetAnnotation, name)
	if near := f.likelyRuntime(); near != nil {
		text = plan.UnboundReason(f.dataset, near)
	}
	if f.leftover != "" {
		text += "; " + f.leftover
	}
	return text
}

// nearest is the runtime that is most likely meant: the oldest that names no
// Dataset and serves none, else the oldest that names one that is not there.
func (f inputs) likelyRuntime() *v1alpha1.JindoRuntime {
	var near *v1alpha1.JindoRuntime
	annotated := func(r *v1alpha1.JindoRuntime) bool { _, ok := r.Annotations[v1alpha1.DatasetAnnotation]; return ok }
	for _, r := range f.runtimes {
		if r.DeletionTimestamp != nil || plan.Find(f.others, r) != nil {
			continue
		}
		switch {
		case near == nil, annotated(near) && !annotated(r):
			near = r
		case annotated(near) == annotated(r) && r.CreationTimestamp.Before(&near.CreationTimestamp):
			near = r
		}
	}
	return near
}

// problem is the reason why a Dataset is not ready; empty for one that is.
func notReadyReason(f inputs) string {
	reason, _ := f.notReady()
	return reason
}

// problem answers why a Dataset is not ready: a reason, and a sentence.
func (f inputs) notReady() (reason, message string) {
	switch {
	case f.invalid != "":
		return reasonSpecInvalid, f.invalid
	case !f.bound():
		return reasonNotBound, f.unboundMessage()
	case len(f.plan.Mounts) == 0:
		return reasonMountUnsupported, unsupported(f.plan)
	case f.volume.Conflict != "":
		return reasonVolumeConflict, f.volume.Conflict
	}
	if message := f.failedMounts(); message != "" {
		return reasonMountsNotReady, message
	}
	if message := f.notReadyComponents(); message != "" {
		return reasonRuntimeNotReady, message
	}
	if missing := f.missingMounts(); len(missing) > 0 {
		return reasonRuntimeNotReady, fmt.Sprintf("JindoRuntime %s has not mounted %s yet", f.runtime.Name, strings.Join(missing, ", "))
	}
	if message := f.pendingMounts(); message != "" {
		return reasonRuntimeNotReady, message
	}
	if !f.volume.Bound {
		return reasonVolumeNotBound, f.volume.Waiting
	}
	return "", ""
}

// failedMounts returns the runtime's message about mounts with a failure of the
// credentials or the store; empty if there are none. Pending and unsupported mounts
// have not failed.
func (f inputs) failedMounts() string {
	result := health.EvaluateRuntime(f.runtime)
	if problem, found := result.FindCause(health.CauseCredentials, health.CauseStore); found {
		return problem.Message
	}
	return ""
}

// pendingMounts returns the runtime's message about mounts that have not been
// checked yet; empty if there are none.
func (f inputs) pendingMounts() string {
	result := health.EvaluateRuntime(f.runtime)
	if problem, found := result.Find(string(v1alpha1.RuntimeMountsReady)); found && problem.Severity == health.Waiting {
		return problem.Message
	}
	return ""
}

// runtimeNotReady says which part of the runtime is not ready. A Dataset that
// was ready stays so while some of each part are.
func (f inputs) notReadyComponents() string {
	r := f.runtime
	result := health.EvaluateRuntime(r)
	if invalid, found := result.Find(string(v1alpha1.RuntimeSpecValid)); found {
		return fmt.Sprintf("JindoRuntime %s is refused: %s", r.Name, invalid.Message)
	}
	var parts []string
	part := func(name string, disabled bool, phase v1alpha1.RuntimePhase, ready, desired int32, reason string) {
		if disabled || phase == v1alpha1.RuntimePhaseReady || phase == v1alpha1.RuntimePhasePartialReady && f.wasBound() {
			return
		}
		count := fmt.Sprintf("%d of %d", ready, desired)
		text := count + " " + name + " are ready"
		switch {
		case strings.HasPrefix(reason, count):
			text = reason // which begins with the same count
		case reason != "":
			text += " (" + reason + ")"
		}
		parts = append(parts, text)
	}
	s := r.Status
	part("masters", r.Spec.Master.Disabled, s.MasterPhase, s.MasterNumberReady, s.DesiredMasterNumberScheduled, s.MasterReason)
	part("workers", r.Spec.Worker.Disabled, s.WorkerPhase, s.WorkerNumberReady, s.DesiredWorkerNumberScheduled, s.WorkerReason)
	part("mounts", r.Spec.Fuse.Disabled, s.FusePhase, s.FuseNumberReady, s.DesiredFuseNumberScheduled, s.FuseReason)
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("JindoRuntime %s is not ready: %s", r.Name, strings.Join(parts, ", "))
}

// missingMounts are those of the plan that the runtime has not in place. A
// Dataset that was served has those that its status says.
func (f inputs) missingMounts() []string {
	if f.wasBound() {
		return nil
	}
	var missing []string
	for _, m := range f.plan.Mounts {
		there := slices.ContainsFunc(f.runtime.Status.Mounts, func(have v1alpha1.Mount) bool {
			return have.Path == m.Path && sameStore(have.MountPoint, m.URI)
		})
		if !there {
			missing = append(missing, m.Path)
		}
	}
	return missing
}

func sameStore(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

func unsupported(p plan.Plan) string {
	var sentences []string
	for _, problem := range p.Problems {
		sentences = append(sentences, fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message))
	}
	return strings.Join(sentences, "; ")
}
