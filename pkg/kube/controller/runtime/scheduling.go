package runtime

import (
	"cmp"
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
	// unschedulableAfter is how long a pod may be unscheduled before it is
	// reported.
	unschedulableAfter = 5 * time.Second
	// maxNamed is the maximum number of pods in a message.
	maxNamed = 3
)

// scheduling reports why pods do not run.
//
// Input: the desired state, the workloads, the placement and the refusal. Output: the
// conditions PlacementBlocked, PodSecurityForbidden and HostPathRefused.
type scheduling struct {
	live client.Reader
}

func (c scheduling) reconcile(ctx context.Context, r *report, want *desired, w *workloads, p *placement, refused refusal) error {
	security, other, err := c.findCreateFailures(ctx, r, w)
	if err != nil {
		return err
	}
	r.setProblem(v1alpha1.RuntimePodSecurityForbidden, reasonPodSecurity, cmp.Or(security, refused.podSecurityProblem))
	r.setProblem(v1alpha1.RuntimeHostPathRefused, reasonHostPathRefused, refused.hostPathProblem)
	problems := p.problems
	if other != "" {
		problems = append(problems, other)
	}
	c.setBlocked(r, want, w, problems)
	return nil
}

// setBlocked sets the condition PlacementBlocked for unschedulable pods.
func (scheduling) setBlocked(r *report, want *desired, w *workloads, problems []string) {
	messages, reason := problems, reasonTooFewNodes
	for _, role := range []plan.Role{plan.RoleMaster, plan.RoleWorker} {
		blocked, reported := unschedulablePods(w.pods[role], r.now.Time)
		if len(blocked) == 0 {
			continue
		}
		if len(problems) == 0 {
			reason = reasonUnschedulable
		}
		message := fmt.Sprintf("%s cannot be scheduled: %s", joinNames(blocked), reported)
		if role == plan.RoleMaster && strings.Contains(reported, "PersistentVolumeClaim") {
			message += "; " + volumeAdvice(want)
		}
		if role == plan.RoleWorker && !shared(want) {
			message += "; a node runs at most one worker of a namespace: add nodes, lower spec.replicas, or set placement: Shared in every Dataset of the namespace"
		}
		messages = append(messages, message)
	}
	r.setProblem(v1alpha1.RuntimePlacementBlocked, reason, strings.Join(messages, ". "))
}

// volumeAdvice tells the user how masters' volumes are provided.
func volumeAdvice(want *desired) string {
	if class := want.runtime.Spec.Master.StorageClassName; class != nil {
		return fmt.Sprintf("their volumes are of storage class %q, which must provision them", *class)
	}
	if render.MasterPath(want.runtime, want.plan) != "" {
		return "their volumes are directories of nodes, and each is bound to one node"
	}
	return "their volumes are of the default storage class: set a default storage class, set spec.master.storageClassName, or create the runtime with a level of volumeType hostPath"
}

func shared(want *desired) bool {
	return want.dataset != nil && want.dataset.Spec.PlacementMode == v1alpha1.SharedMode
}

// unschedulablePods returns the pods that cannot be scheduled, and the scheduler's
// message.
func unschedulablePods(all []corev1.Pod, now time.Time) (pods []string, message string) {
	for _, pod := range all {
		if pod.Spec.NodeName != "" || !pod.DeletionTimestamp.IsZero() || now.Sub(pod.CreationTimestamp.Time) < unschedulableAfter {
			continue
		}
		if reported, unschedulable := health.PodUnschedulable(&pod); unschedulable {
			pods, message = append(pods, pod.Name), reported
		}
	}
	return pods, message
}

func joinNames(names []string) string {
	if len(names) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}

// findCreateFailures returns why missing pods could not be created: because of Pod
// Security, or otherwise.
func (c scheduling) findCreateFailures(ctx context.Context, r *report, w *workloads) (security, other string, err error) {
	type short struct {
		name string
		uid  types.UID
		kind string
	}
	var sets []short
	for _, set := range []*appsv1.StatefulSet{w.masters, w.workers} {
		if set != nil && set.Spec.Replicas != nil && set.Status.Replicas < *set.Spec.Replicas && r.now.Sub(set.CreationTimestamp.Time) > unschedulableAfter {
			sets = append(sets, short{set.Name, set.UID, "StatefulSet"})
		}
	}
	if set := w.fuse; set != nil && set.Status.CurrentNumberScheduled < set.Status.DesiredNumberScheduled {
		sets = append(sets, short{set.Name, set.UID, "DaemonSet"})
	}
	for _, set := range sets {
		message, err := c.lastCreateFailure(ctx, r.runtime, set.uid)
		if err != nil {
			return "", "", err
		}
		switch {
		case message == "":
		case strings.Contains(message, "violates PodSecurity"):
			security = fmt.Sprintf("namespace %s rejects the pods of %s %s: %s", r.runtime.Namespace, set.kind, set.name, message)
		default:
			other = fmt.Sprintf("the pods of %s %s cannot be created: %s", set.kind, set.name, message)
		}
	}
	if security != "" {
		security += ". Set volumeType: emptyDir in every level of spec.tieredstore and set spec.master.storageClassName, then delete and recreate the runtime; or allow privileged pods in the namespace"
	}
	return security, other, nil
}

// lastCreateFailure returns the message of the newest FailedCreate event of a
// workload; empty if there is none.
func (c scheduling) lastCreateFailure(ctx context.Context, owner *v1alpha1.JindoRuntime, uid types.UID) (string, error) {
	list := &corev1.EventList{}
	err := c.live.List(ctx, list, client.InNamespace(owner.Namespace),
		client.MatchingFields{"involvedObject.uid": string(uid), "reason": "FailedCreate"}, client.Limit(20))
	if err != nil {
		return "", fmt.Errorf("list FailedCreate events of JindoRuntime %s/%s: %w", owner.Namespace, owner.Name, err)
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
