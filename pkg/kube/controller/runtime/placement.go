package runtime

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
)

const (
	// unplacedAfter is how long a pod may look for a node before it is told of.
	unschedulableAfter = 5 * time.Second
	// maxNamed is how many pods a message names.
	maxNamed = 3
)

// tellPlacement says which pods find no node, and why.
func (p *pass) setStatusPlacement() {
	messages, reason := p.placementProblems, reasonTooFewNodes
	for _, role := range []plan.Role{plan.RoleMaster, plan.RoleWorker} {
		blocked, why := p.unschedulablePods(role)
		if len(blocked) == 0 {
			continue
		}
		if len(p.placementProblems) == 0 {
			reason = reasonUnschedulable
		}
		message := fmt.Sprintf("%s find no node: %s", joinNames(blocked), why)
		if role == plan.RoleMaster && strings.Contains(why, "PersistentVolumeClaim") {
			message += "; " + p.volumeAdvice()
		}
		if role == plan.RoleWorker && !p.shared() {
			message += "; a node takes one worker of a namespace: add nodes, lower spec.replicas, or write placement: Shared into every Dataset of the namespace"
		}
		messages = append(messages, message)
	}
	p.setProblem(v1alpha1.RuntimePlacementBlocked, reason, strings.Join(messages, ". "))
}

// volumeAdvice says where masters' volumes are to come from.
func (p *pass) volumeAdvice() string {
	if class := p.want.Spec.Master.StorageClassName; class != nil {
		return fmt.Sprintf("their volumes come from storage class %q, which has to provide them", *class)
	}
	if render.MasterPath(p.want, p.plan) != "" {
		return "their volumes are directories of nodes, bound to one node each"
	}
	return "their volumes come from the cluster's default storage class: mark one as the default, name another in spec.master.storageClassName, or create the runtime with a level of volumeType hostPath"
}

func (p *pass) shared() bool {
	return p.dataset != nil && p.dataset.Spec.PlacementMode == v1alpha1.SharedMode
}

// unplaced names the pods of a role that the scheduler has no node for.
func (p *pass) unschedulablePods(role plan.Role) (pods []string, why string) {
	for _, pod := range p.observed.pods[role] {
		if pod.Spec.NodeName != "" || !pod.DeletionTimestamp.IsZero() || p.now.Sub(pod.CreationTimestamp.Time) < unschedulableAfter {
			continue
		}
		if message, unschedulable := health.PodUnschedulable(&pod); unschedulable {
			pods, why = append(pods, pod.Name), message
		}
	}
	return pods, why
}

func joinNames(names []string) string {
	if len(names) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}

// findRefusals looks for why pods are not even created, where some are missing.
func (p *pass) findCreateFailures(ctx context.Context) error {
	type short struct {
		name string
		uid  types.UID
		kind string
	}
	var sets []short
	for _, set := range []*appsv1.StatefulSet{p.observed.masters, p.observed.workers} {
		if set != nil && set.Spec.Replicas != nil && set.Status.Replicas < *set.Spec.Replicas && p.now.Sub(set.CreationTimestamp.Time) > unschedulableAfter {
			sets = append(sets, short{set.Name, set.UID, "StatefulSet"})
		}
	}
	if set := p.observed.fuse; set != nil && set.Status.CurrentNumberScheduled < set.Status.DesiredNumberScheduled {
		sets = append(sets, short{set.Name, set.UID, "DaemonSet"})
	}
	security, other := "", ""
	for _, set := range sets {
		message, err := p.lastCreateFailure(ctx, set.uid)
		if err != nil {
			return err
		}
		switch {
		case message == "":
		case strings.Contains(message, "violates PodSecurity"):
			security = fmt.Sprintf("namespace %s refuses the pods of %s %s: %s", p.runtime.Namespace, set.kind, set.name, message)
		default:
			other = fmt.Sprintf("the pods of %s %s are refused: %s", set.kind, set.name, message)
		}
	}
	if security != "" {
		security += ". Write volumeType: emptyDir for every level of spec.tieredstore and name a storage class in spec.master.storageClassName, then create the runtime anew; or let the namespace take privileged pods"
	}
	p.setProblem(v1alpha1.RuntimePodSecurityForbidden, reasonPodSecurity, security)
	if other != "" {
		p.placementProblems = append(p.placementProblems, other)
	}
	return nil
}

// lastRefusal is the newest event about a pod that could not be created.
func (p *pass) lastCreateFailure(ctx context.Context, uid types.UID) (string, error) {
	list := &corev1.EventList{}
	err := p.r.Live.List(ctx, list, client.InNamespace(p.runtime.Namespace),
		client.MatchingFields{"involvedObject.uid": string(uid), "reason": "FailedCreate"}, client.Limit(20))
	if err != nil {
		return "", fmt.Errorf("reading why pods of JindoRuntime %s/%s are not created: %w", p.runtime.Namespace, p.runtime.Name, err)
	}
	message, newest := "", time.Time{}
	for _, e := range list.Items {
		at := e.LastTimestamp.Time
		if e.EventTime.After(at) {
			at = e.EventTime.Time
		}
		if e.Series != nil && e.Series.LastObservedTime.After(at) {
			at = e.Series.LastObservedTime.Time
		}
		if !at.Before(newest) {
			message, newest = e.Message, at
		}
	}
	return message, nil
}
