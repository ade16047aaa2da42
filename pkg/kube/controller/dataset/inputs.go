package dataset

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/notes"
	"github.com/jindo-io/jindo/pkg/plan"
)

// Reasons of the condition Ready, in order of precedence.
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

// reasonSomeStoresRefuse is the reason of the condition MountsReady of a Dataset that is
// served without some of its mounts.
const reasonSomeStoresRefuse = health.ReasonSomeStoresRefuse

// inputs are the inputs of a Dataset's status.
type inputs struct {
	dataset  *v1alpha1.Dataset
	others   []*v1alpha1.Dataset
	runtimes []*v1alpha1.JindoRuntime
	// runtime is the runtime that serves the Dataset; nil if there is none.
	runtime *v1alpha1.JindoRuntime
	// runtimeTerminating reports that the runtime is being deleted and the volume
	// has been removed.
	runtimeTerminating bool
	// otherRuntime reports that no JindoRuntime claims the Dataset or could serve
	// it, so that it may belong to another kind of runtime.
	otherRuntime bool
	// foreign reports that another kind of runtime serves the Dataset.
	foreign bool
	plan    plan.Plan
	volume  datasetvolume.State
	// Messages for users; empty if they do not apply.
	invalid, leftover, deletionBlocked string
}

// bound reports whether a runtime serves the Dataset.
func (f inputs) bound() bool { return f.runtime != nil && !f.runtimeTerminating }

// wasBound reports whether a runtime has served the Dataset before.
func (f inputs) wasBound() bool {
	status := f.dataset.Status
	return status.Phase == v1alpha1.BoundDatasetPhase || status.Phase == v1alpha1.FailedDatasetPhase && len(status.Mounts) > 0
}

// servesBefore reports whether the runtime serves the Dataset with a spec that an edit
// cannot take away: its mounts exist, and an edit that is invalid or has no mount that is
// supported replaces none of them.
func (f inputs) servesBefore() bool {
	return f.bound() && f.wasBound() && f.effective() != nil && len(f.runtime.Status.Mounts) > 0
}

// servedDataset returns the Dataset with the spec that the runtime serves.
func (f inputs) servedDataset() *v1alpha1.Dataset {
	served := f.dataset.DeepCopy()
	served.Spec = *f.effective().Spec.DeepCopy()
	if _, err := v1alpha1.ClaimSize(served); err != nil {
		delete(served.Annotations, v1alpha1.PVCStorageAnnotation)
	}
	return served
}

// runtimeSpec returns the spec with which the runtime runs.
func (f inputs) runtimeSpec() *v1alpha1.JindoRuntimeSpec {
	if effective := f.runtime.Status.Effective; effective != nil {
		return &effective.Runtime
	}
	return &f.runtime.Spec
}

// unboundMessage tells the user how to bind the Dataset to a runtime.
func (f inputs) unboundMessage() string {
	name := f.dataset.Name
	if f.runtimeTerminating {
		return fmt.Sprintf("JindoRuntime %q is being deleted: create a JindoRuntime %q to bind the Dataset again", f.runtime.Name, name)
	}
	text := fmt.Sprintf("not bound to a JindoRuntime: create a JindoRuntime %q, or add the annotation %s: %s to another one",
		name, v1alpha1.DatasetAnnotation, name)
	if likely := f.likelyRuntime(); likely != nil && !f.otherRuntime {
		text = plan.UnboundReason(f.dataset, likely)
	}
	if f.leftover != "" {
		text += "; " + f.leftover
	}
	return text
}

// likelyRuntime returns the runtime that most likely is to serve the Dataset: the
// oldest one without a Dataset and without the annotation, or else the oldest one
// whose annotation names a Dataset that does not exist. It returns nil if there is
// none.
func (f inputs) likelyRuntime() *v1alpha1.JindoRuntime {
	var likely *v1alpha1.JindoRuntime
	annotated := func(r *v1alpha1.JindoRuntime) bool { _, ok := r.Annotations[v1alpha1.DatasetAnnotation]; return ok }
	for _, r := range f.runtimes {
		if r.DeletionTimestamp != nil || plan.Find(f.others, r) != nil {
			continue
		}
		switch {
		case likely == nil, annotated(likely) && !annotated(r):
			likely = r
		case annotated(likely) == annotated(r) && r.CreationTimestamp.Before(&likely.CreationTimestamp):
			likely = r
		}
	}
	return likely
}

// notReadyReason returns the reason why a Dataset is not ready; empty if it is.
func notReadyReason(f inputs) string {
	reason, _ := f.notReady()
	return reason
}

// notReady returns the reason and a message why a Dataset is not ready, both empty
// if it is ready.
func (f inputs) notReady() (reason, message string) {
	switch {
	case f.invalid != "" && !f.servesBefore():
		return reasonSpecInvalid, f.invalid
	case !f.bound():
		return reasonNotBound, f.unboundMessage()
	case len(f.plan.Mounts) == 0 && !f.servesBefore():
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
// have not failed, nor have those that work with earlier credentials, nor those beside
// others that are served: the condition MountsReady reports them.
func (f inputs) failedMounts() string {
	result := health.EvaluateRuntime(f.runtime)
	ready := health.RuntimeCondition(f.runtime, v1alpha1.RuntimeMountsReady)
	if ready != nil && (ready.Reason == reasonSomeStoresRefuse || f.servesBefore() && ready.Status == corev1.ConditionTrue) {
		return ""
	}
	if problem, found := result.FindCause(health.CauseCredentials, health.CauseStore); found && problem.Severity >= health.Problem {
		return notes.WithoutIDs(problem.Message)
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

// notReadyComponents returns a message with the components of the runtime that are
// not ready; empty if there are none. For a Dataset that was bound before, a
// partially ready component counts as ready.
func (f inputs) notReadyComponents() string {
	r := f.runtime
	result := health.EvaluateRuntime(r)
	if invalid, found := result.Find(string(v1alpha1.RuntimeSpecValid)); found && r.Status.Effective == nil {
		return fmt.Sprintf("the spec of JindoRuntime %s is invalid: %s", r.Name, invalid.Message)
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
			text = reason // starts with the same count
		case reason != "":
			text += " (" + reason + ")"
		}
		parts = append(parts, text)
	}
	s, spec := r.Status, f.runtimeSpec()
	part("masters", spec.Master.Disabled, s.MasterPhase, s.MasterNumberReady, s.DesiredMasterNumberScheduled, s.MasterReason)
	part("workers", spec.Worker.Disabled, s.WorkerPhase, s.WorkerNumberReady, s.DesiredWorkerNumberScheduled, s.WorkerReason)
	part("mounts", spec.Fuse.Disabled, s.FusePhase, s.FuseNumberReady, s.DesiredFuseNumberScheduled, s.FuseReason)
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("JindoRuntime %s is not ready: %s", r.Name, strings.Join(parts, ", "))
}

// missingMounts returns the paths of the plan's mounts that the runtime has not
// mounted. A Dataset that was bound before keeps the mounts of its status.
func (f inputs) missingMounts() []string {
	if f.wasBound() {
		return nil
	}
	var missing []string
	for _, m := range f.plan.Mounts {
		mounted := slices.ContainsFunc(f.runtime.Status.Mounts, func(have v1alpha1.Mount) bool {
			return have.Path == m.Path && sameStore(have.MountPoint, m.URI)
		})
		if !mounted {
			missing = append(missing, m.Path)
		}
	}
	return missing
}

// sameStore reports whether two mount points are equal except for trailing slashes.
func sameStore(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

func unsupported(p plan.Plan) string {
	var messages []string
	for _, problem := range p.Problems {
		messages = append(messages, fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message))
	}
	return strings.Join(messages, "; ")
}
