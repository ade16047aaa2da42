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

// setStatus sets the status from the observed state.
func (p *pass) setStatus() {
	p.status.Raft = p.raft()
	p.setStatusMasters()
	p.setStatusWorkers()
	p.setStatusFuse()
	p.setStatusMounts()
	p.setStatusUsage()
	p.setStatusPlacement()
	p.setStatusEdits()
	p.setStatusReady()
	if f := p.status.Formation; f.Formed != p.config.Formed || p.masterState.leaderUnconfirmed {
		p.requeueAfter = startupInterval // Starting masters read the formation from the ConfigMap.
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

func (p *pass) setStatusMasters() {
	s := p.status
	s.DesiredMasterNumberScheduled, s.CurrentMasterNumberScheduled, s.MasterNumberReady = 0, 0, 0
	s.MasterReason = ""
	if p.plan.Masters == nil {
		s.MasterPhase = v1alpha1.RuntimePhaseReady
		return
	}
	wanted := p.plan.Masters.Replicas
	s.DesiredMasterNumberScheduled = wanted
	if set := p.observed.masters; set != nil {
		s.CurrentMasterNumberScheduled, s.MasterNumberReady = set.Status.Replicas, set.Status.ReadyReplicas
	}
	s.MasterPhase = phase(s.MasterNumberReady, wanted)
	if s.MasterPhase != v1alpha1.RuntimePhaseReady {
		s.MasterReason = fmt.Sprintf("%d of %d masters are ready", s.MasterNumberReady, wanted)
	} else if p.masterState.leader == nil && !p.masterState.leaderUnconfirmed {
		s.MasterPhase, s.MasterReason = v1alpha1.RuntimePhasePartialReady, "no leader is known"
	}
	p.component(v1alpha1.RuntimeMasterInitialized, v1alpha1.RuntimeMasterReady, p.observed.masters != nil, s.MasterPhase, s.MasterReason, "every master is ready, and there is a leader")
}

func (p *pass) setStatusWorkers() {
	s := p.status
	s.DesiredWorkerNumberScheduled, s.CurrentWorkerNumberScheduled, s.WorkerNumberReady = 0, 0, 0
	s.WorkerNumberAvailable, s.WorkerNumberUnavailable, s.WorkerReason, s.Selector, s.CacheAffinity = 0, 0, "", "", nil
	if p.plan.Workers == nil {
		s.WorkerPhase = v1alpha1.RuntimePhaseReady
		return
	}
	wanted := p.plan.Workers.Replicas
	s.DesiredWorkerNumberScheduled = wanted
	s.Selector = labels.SelectorFromSet(render.Selector(p.plan.Name, plan.RoleWorker)).String()
	s.CacheAffinity = cacheAffinity(p.plan)
	if set := p.observed.workers; set != nil {
		s.CurrentWorkerNumberScheduled, s.WorkerNumberReady = set.Status.Replicas, set.Status.ReadyReplicas
		s.WorkerNumberAvailable = set.Status.AvailableReplicas
		s.WorkerNumberUnavailable = max(wanted-set.Status.AvailableReplicas, 0)
	}
	s.WorkerPhase = phase(s.WorkerNumberReady, wanted)
	if s.WorkerPhase != v1alpha1.RuntimePhaseReady {
		s.WorkerReason = fmt.Sprintf("%d of %d workers are ready", s.WorkerNumberReady, wanted)
	}
	p.component(v1alpha1.RuntimeWorkersInitialized, v1alpha1.RuntimeWorkersReady, p.observed.workers != nil, s.WorkerPhase, s.WorkerReason, "every worker is ready")
}

// setStatusFuse sets the status of the FUSE servers. They run on the nodes of
// workers, so no scheduled server is normal only without workers.
func (p *pass) setStatusFuse() {
	s := p.status
	s.DesiredFuseNumberScheduled, s.CurrentFuseNumberScheduled, s.FuseNumberReady = 0, 0, 0
	s.FuseNumberAvailable, s.FuseNumberUnavailable, s.FuseReason = 0, 0, ""
	if p.plan.Fuse == nil {
		s.FusePhase = v1alpha1.RuntimePhaseReady
		return
	}
	set := p.observed.fuse
	if set != nil {
		s.DesiredFuseNumberScheduled, s.CurrentFuseNumberScheduled = set.Status.DesiredNumberScheduled, set.Status.CurrentNumberScheduled
		s.FuseNumberReady, s.FuseNumberAvailable = set.Status.NumberReady, set.Status.NumberAvailable
		s.FuseNumberUnavailable = set.Status.NumberUnavailable
	}
	switch {
	case set == nil || set.Status.ObservedGeneration != set.Generation:
		s.FusePhase, s.FuseReason = v1alpha1.RuntimePhaseNotReady, "the DaemonSet is being created"
	case s.DesiredFuseNumberScheduled == 0 && p.plan.Workers != nil && !p.fuseNodesRestricted():
		s.FusePhase, s.FuseReason = v1alpha1.RuntimePhaseNotReady, "no worker has been scheduled to a node yet"
	default:
		s.FusePhase = phase(s.FuseNumberReady, s.DesiredFuseNumberScheduled)
		if s.FusePhase != v1alpha1.RuntimePhaseReady {
			s.FuseReason = fmt.Sprintf("%d of %d FUSE servers are ready", s.FuseNumberReady, s.DesiredFuseNumberScheduled)
		}
	}
	p.component(v1alpha1.RuntimeFusesInitialized, v1alpha1.RuntimeFusesReady, set != nil, s.FusePhase, s.FuseReason, "every FUSE server is ready")
}

// fuseNodesRestricted reports whether a node selector may exclude the nodes of all
// workers.
func (p *pass) fuseNodesRestricted() bool { return len(p.want.Spec.Fuse.NodeSelector) > 0 }

// component sets the conditions of a component.
func (p *pass) component(initialized, ready v1alpha1.RuntimeConditionType, created bool, phase v1alpha1.RuntimePhase, notReadyMessage, readyMessage string) {
	if created {
		p.setCondition(initialized, true, reasonMade, "its objects have been created")
	}
	if phase == v1alpha1.RuntimePhaseReady {
		p.setCondition(ready, true, reasonReady, readyMessage)
		return
	}
	p.setCondition(ready, false, string(phase), notReadyMessage)
}

func cacheAffinity(p *plan.Plan) *corev1.NodeAffinity {
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: names.CacheNodeLabel(p.Namespace, p.Name), Operator: corev1.NodeSelectorOpIn, Values: []string{"true"},
		}}}},
	}}
}

// setStatusEdits sets the conditions about changes that are not applied.
func (p *pass) setStatusEdits() {
	p.setProblem(v1alpha1.RuntimeChangeNotApplied, reasonSpecEdited, strings.Join(p.notApplied, "; "))
	var pending []string
	if older := p.olderPods(); len(older) > 0 {
		pending = append(pending, fmt.Sprintf("%s have an older pod template: delete the pods, one at a time, to update them", joinNames(older)))
	}
	if by := p.appliedNow().RenderedBy; by != p.r.Image {
		pending = append(pending, fmt.Sprintf("pod templates of the controller image %s with image %s are kept, and changes of pods are not applied: delete and recreate the runtime to update it to %s", by, p.status.Images.Jindo, p.r.Image))
	}
	p.setProblem(v1alpha1.RuntimeUpdatePending, reasonOlderTemplate, strings.Join(pending, "; "))
}

func (p *pass) setStatusReady() {
	s := p.status
	var missing []string
	for _, c := range []struct {
		name, reason string
		phase        v1alpha1.RuntimePhase
	}{{"masters", s.MasterReason, s.MasterPhase}, {"workers", s.WorkerReason, s.WorkerPhase}, {"mounts", s.FuseReason, s.FusePhase}} {
		if c.phase != v1alpha1.RuntimePhaseReady {
			missing = append(missing, c.name+": "+c.reason)
		}
	}
	age := p.now.Sub(p.runtime.CreationTimestamp.Time)
	if len(missing) == 0 {
		if s.SetupDuration == "" {
			s.SetupDuration = age.Round(time.Second).String()
		}
		p.setCondition(v1alpha1.RuntimeReady, true, reasonReady, "masters, workers and mounts are ready")
		p.requeueAfter = readyInterval
		if p.awaitsWorkers() {
			p.requeueAfter = startupInterval
		}
		return
	}
	reason := reasonNotReady
	if s.SetupDuration == "" {
		reason = reasonComing
	}
	p.setCondition(v1alpha1.RuntimeReady, false, reason, strings.Join(missing, "; "))
	p.requeueAfter = notReadyInterval
	if age < startupTime || p.masterState.queried && p.masterState.leader == nil {
		p.requeueAfter = startupInterval
	}
}

// awaitsWorkers reports whether the pass waits for state that has no watch: mounts,
// and the first usage figures.
func (p *pass) awaitsWorkers() bool {
	if p.plan.Unbound != "" || p.plan.Masters == nil || p.now.Sub(p.runtime.CreationTimestamp.Time) > startupTime {
		return false
	}
	return p.previousStatus(v1alpha1.RuntimeMountsReady) != corev1.ConditionTrue || p.status.UfsTotal == calculating
}
