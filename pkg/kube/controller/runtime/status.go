package runtime

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
)

// statusWriter sets the part of the status that sums up what was observed.
//
// Input: the desired state, the workloads and the masters. Output: phases, numbers,
// usage, the conditions of components, UpdatePending and Ready, and the time until the
// next pass.
type statusWriter struct {
	usage *usageTimes
	// image is the image of the controller.
	image string
}

func (c statusWriter) reconcile(r *report, want *desired, w *workloads, m *masterState) {
	setMasters(r, want, w, m)
	setWorkers(r, want, w)
	setFuse(r, want, w)
	c.usage.setStatus(r, want.plan, m)
	c.setUpdatePending(r, want)
	setNotSupported(r, want)
	setReady(r, want, m)
	formed := r.runtime.Status.Formation != nil && r.runtime.Status.Formation.Formed
	if r.status.Formation.Formed != formed || m.leaderUnconfirmed {
		r.requeueAfter = startupInterval // Starting masters read the formation from the ConfigMap.
	}
}

// phase returns the phase of a component with the given numbers of instances.
func phase(ready, wanted int32) v1alpha1.RuntimePhase {
	switch {
	case ready >= wanted:
		return v1alpha1.RuntimePhaseReady
	case ready > 0:
		return v1alpha1.RuntimePhasePartialReady
	}
	return v1alpha1.RuntimePhaseNotReady
}

func setMasters(r *report, want *desired, w *workloads, m *masterState) {
	s := r.status
	s.DesiredMasterNumberScheduled, s.CurrentMasterNumberScheduled, s.MasterNumberReady = 0, 0, 0
	s.MasterReason = ""
	if want.plan.Masters == nil {
		s.MasterPhase = v1alpha1.RuntimePhaseReady
		return
	}
	wanted := want.plan.Masters.ListedInstances()
	s.DesiredMasterNumberScheduled = wanted
	if set := w.masters; set != nil {
		s.CurrentMasterNumberScheduled, s.MasterNumberReady = set.Status.Replicas, set.Status.ReadyReplicas
	}
	s.MasterPhase = phase(s.MasterNumberReady, wanted)
	if s.MasterPhase != v1alpha1.RuntimePhaseReady {
		s.MasterReason = fmt.Sprintf("%d of %d masters are ready", s.MasterNumberReady, wanted)
	} else if m.leader == nil && !m.leaderUnconfirmed {
		s.MasterPhase, s.MasterReason = v1alpha1.RuntimePhasePartialReady, "no leader is known"
	}
	setComponent(r, v1alpha1.RuntimeMasterInitialized, v1alpha1.RuntimeMasterReady, w.masters != nil, s.MasterPhase, s.MasterReason, "every master is ready, and there is a leader")
}

func setWorkers(r *report, want *desired, w *workloads) {
	s := r.status
	s.DesiredWorkerNumberScheduled, s.CurrentWorkerNumberScheduled, s.WorkerNumberReady = 0, 0, 0
	s.WorkerNumberAvailable, s.WorkerNumberUnavailable, s.WorkerReason, s.Selector, s.CacheAffinity = 0, 0, "", "", nil
	if want.plan.Workers == nil {
		s.WorkerPhase = v1alpha1.RuntimePhaseReady
		return
	}
	wanted := want.plan.Workers.Replicas
	s.DesiredWorkerNumberScheduled = wanted
	s.Selector = labels.SelectorFromSet(render.Selector(want.plan.Name, plan.RoleWorker)).String()
	s.CacheAffinity = cacheAffinity(want.scope)
	if set := w.workers; set != nil {
		s.CurrentWorkerNumberScheduled, s.WorkerNumberReady = set.Status.Replicas, set.Status.ReadyReplicas
		s.WorkerNumberAvailable = set.Status.AvailableReplicas
		s.WorkerNumberUnavailable = max(wanted-set.Status.AvailableReplicas, 0)
	}
	s.WorkerPhase = phase(s.WorkerNumberReady, wanted)
	if s.WorkerPhase != v1alpha1.RuntimePhaseReady {
		s.WorkerReason = fmt.Sprintf("%d of %d workers are ready", s.WorkerNumberReady, wanted)
	}
	setComponent(r, v1alpha1.RuntimeWorkersInitialized, v1alpha1.RuntimeWorkersReady, w.workers != nil, s.WorkerPhase, s.WorkerReason, "every worker is ready")
}

// setFuse sets the status of the FUSE servers. They run on the nodes of workers, so
// there is at least one unless a node selector excludes these.
func setFuse(r *report, want *desired, w *workloads) {
	s := r.status
	s.DesiredFuseNumberScheduled, s.CurrentFuseNumberScheduled, s.FuseNumberReady = 0, 0, 0
	s.FuseNumberAvailable, s.FuseNumberUnavailable, s.FuseReason = 0, 0, ""
	if want.plan.Fuse == nil {
		s.FusePhase = v1alpha1.RuntimePhaseReady
		return
	}
	set := w.fuse
	if set != nil {
		s.DesiredFuseNumberScheduled, s.CurrentFuseNumberScheduled = set.Status.DesiredNumberScheduled, set.Status.CurrentNumberScheduled
		s.FuseNumberReady, s.FuseNumberAvailable = set.Status.NumberReady, set.Status.NumberAvailable
		s.FuseNumberUnavailable = set.Status.NumberUnavailable
	}
	switch {
	case want.plan.FuseOnly():
		s.FusePhase, s.FuseReason = v1alpha1.RuntimePhaseNotReady, v1alpha1.FuseOnlyUnsupported
	case set == nil || set.Status.ObservedGeneration != set.Generation:
		s.FusePhase, s.FuseReason = v1alpha1.RuntimePhaseNotReady, "the DaemonSet is being created"
	case s.DesiredFuseNumberScheduled == 0 && !fuseNodesRestricted(want):
		s.FusePhase, s.FuseReason = v1alpha1.RuntimePhaseNotReady, "no worker has been scheduled to a node yet"
	default:
		s.FusePhase = phase(s.FuseNumberReady, s.DesiredFuseNumberScheduled)
		if s.FusePhase != v1alpha1.RuntimePhaseReady {
			s.FuseReason = fmt.Sprintf("%d of %d FUSE servers are ready", s.FuseNumberReady, s.DesiredFuseNumberScheduled)
		}
	}
	setComponent(r, v1alpha1.RuntimeFusesInitialized, v1alpha1.RuntimeFusesReady, set != nil, s.FusePhase, s.FuseReason, "every FUSE server is ready")
}

// fuseNodesRestricted reports whether a node selector may exclude the nodes of all
// workers.
func fuseNodesRestricted(want *desired) bool { return len(want.runtime.Spec.Fuse.NodeSelector) > 0 }

// setComponent sets the conditions of a component.
func setComponent(r *report, initialized, ready v1alpha1.RuntimeConditionType, created bool, phase v1alpha1.RuntimePhase, notReadyMessage, readyMessage string) {
	if created {
		r.setCondition(initialized, true, reasonMade, "its objects have been created")
	}
	if phase == v1alpha1.RuntimePhaseReady {
		r.setCondition(ready, true, reasonReady, readyMessage)
		return
	}
	r.setCondition(ready, false, string(phase), notReadyMessage)
}

func cacheAffinity(scope names.Scope) *corev1.NodeAffinity {
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: scope.CacheNodeLabel(), Operator: corev1.NodeSelectorOpIn, Values: []string{"true"},
		}}}},
	}}
}

// setUpdatePending sets the condition about pods that an upgrade of the controllers does
// not replace.
func (c statusWriter) setUpdatePending(r *report, want *desired) {
	message := ""
	if by := want.effective.Renderer; by != c.image {
		message = fmt.Sprintf("pods keep the image %s and the templates of the controller image %s, until spec is edited or names an image, or the annotation %s: %s is added: then they are replaced by pods of the controller image %s",
			want.effective.Images.Jindo, by, v1alpha1.UpdatesAnnotation, v1alpha1.UpdatesAutomatic, c.image)
	}
	r.setProblem(v1alpha1.RuntimeUpdatePending, reasonOlderTemplate, message)
}

// setNotSupported sets the condition about what this version accepts and does not carry
// out.
func setNotSupported(r *report, want *desired) {
	var messages []string
	for _, u := range want.runtime.Spec.NotSupportedYet() {
		messages = append(messages, u.Path+": "+u.Message)
	}
	r.setProblem(v1alpha1.RuntimeNotSupportedYet, reasonNotSupported, strings.Join(messages, "; "))
}

func setReady(r *report, want *desired, m *masterState) {
	s := r.status
	var missing []string
	for _, c := range []struct {
		name, reason string
		phase        v1alpha1.RuntimePhase
	}{{"masters", s.MasterReason, s.MasterPhase}, {"workers", s.WorkerReason, s.WorkerPhase}, {"mounts", s.FuseReason, s.FusePhase}} {
		if c.phase != v1alpha1.RuntimePhaseReady {
			missing = append(missing, c.name+": "+c.reason)
		}
	}
	if len(missing) == 0 {
		if s.SetupDuration == "" {
			s.SetupDuration = r.age().Round(time.Second).String()
		}
		r.setCondition(v1alpha1.RuntimeReady, true, reasonReady, "masters, workers and mounts are ready")
		r.requeueAfter = readyInterval
		if awaitsWorkers(r, want) {
			r.requeueAfter = startupInterval
		}
		return
	}
	reason := reasonNotReady
	switch {
	case want.plan.FuseOnly():
		reason = reasonNotSupported
	case s.SetupDuration == "":
		reason = reasonComing
	}
	r.setCondition(v1alpha1.RuntimeReady, false, reason, strings.Join(missing, "; "))
	r.requeueAfter = notReadyInterval
	if r.age() < startupTime && reason != reasonNotSupported || m.queried && m.leader == nil {
		r.requeueAfter = startupInterval
	}
}

// awaitsWorkers reports whether the pass waits for state that has no watch: mounts,
// and the first usage figures. Of mounts that do not become ready it stops waiting.
func awaitsWorkers(r *report, want *desired) bool {
	if want.plan.Unbound != "" || want.plan.Masters == nil {
		return false
	}
	if r.age() <= startupTime && r.status.UfsTotal == calculating {
		return true
	}
	for _, c := range r.status.Conditions {
		if c.Type == v1alpha1.RuntimeMountsReady {
			return c.Status != corev1.ConditionTrue && r.now.Sub(c.LastTransitionTime.Time) <= startupTime
		}
	}
	return false
}
