package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
)

// transferTimeout is the timeout of a transfer of leadership.
const transferTimeout = 15 * time.Second

// rollouts replaces pods by pods with the effective spec, in the steps that package plan
// computes. Steps that change the number of masters are only observed: see resize.go.
//
// Input: the desired state, the templates that were applied, the workloads and the
// masters. Output: at most one deleted pod or transfer of leadership, status.transition
// and the condition Updating.
//
// Invariant: no step is carried out before it is in the status. Which steps are done is
// observed and never recorded only, so a controller that is stopped at any point
// continues with the same step.
type rollouts struct {
	client    client.Client
	fallbacks fallbacks
}

// templates are the pod templates that were applied; a role is missing if its workload was
// not applied.
type templates map[plan.Role]*corev1.PodTemplateSpec

func (c rollouts) reconcile(ctx context.Context, r *report, want *desired, applied templates, w *workloads, m *masterState) error {
	instances := w.instances(r, want, applied, m)
	number := map[plan.Role]int{}
	if want.plan.Masters != nil {
		number[plan.RoleMaster] = int(want.plan.Masters.ListedInstances())
	}
	if want.plan.Workers != nil {
		number[plan.RoleWorker] = int(want.plan.Workers.Replicas)
	}
	if w.fuse != nil {
		number[plan.RoleFuse] = int(w.fuse.Status.DesiredNumberScheduled)
	}
	if c.fallbacks.reconcile(r, applied, w, instances, number) {
		return nil
	}
	revision := want.effective.Revision
	t := r.status.Transition
	if t == nil || t.Revision != revision || plan.NextStep(stepsOf(t), instances, number).Step == len(t.Steps) {
		t = newTransition(revision, planSteps(r, want, instances, m))
	}
	decision := plan.NextStep(stepsOf(t), instances, number)
	if decision.Step == len(t.Steps) {
		r.status.Transition = nil
		if r.status.Reverted == nil {
			r.status.Fallbacks = nil // also of components without pods
		}
		r.setNote(v1alpha1.RuntimeUpdating, "", "")
		return nil
	}
	for i := range t.Steps {
		t.Steps[i].Done = i < decision.Step
	}
	decision.Waiting = m.addObstacle(decision.Waiting, stepsOf(t)[decision.Step])
	if decision.Waiting == "" {
		decision.Waiting = w.unobserved(decision.Instance.Role, applied)
	}
	paused := r.runtime.Annotations[v1alpha1.UpdatesAnnotation] == v1alpha1.UpdatesPaused
	if r.status.Reverted != nil && decision.Action == plan.ActionReplace && !decision.Instance.Running {
		paused = false // the pod serves nothing, and its replacement began before the pause
	}
	recorded := r.runtime.Status.Transition != nil && slices.Equal(stepsOf(r.runtime.Status.Transition), stepsOf(t)) && r.runtime.Status.Transition.Revision == revision
	var failed error
	if decision.Waiting == "" && !paused && recorded {
		decision.Waiting, failed = c.act(ctx, decision, w, m)
	}
	t.Waiting = decision.Waiting
	r.status.Transition = t
	c.setUpdating(r, t, decision, paused)
	r.requeueAfter = min(r.requeueAfter, startupInterval)
	if !recorded {
		r.requeueAfter = immediately
	}
	return failed
}

// planSteps returns the steps to the effective spec. After an update was reverted, its
// failed pod is replaced first, because it may be a master that the change of the members of
// Raft waits for, and because a pod that serves is replaced only while all others do.
func planSteps(r *report, want *desired, instances []plan.Instance, m *masterState) []plan.Step {
	members, pods := plan.MasterSteps(want.plan.Masters, m.votes), plan.Steps(instances)
	if reverted := r.status.Reverted; reverted != nil {
		failed := plan.Step{Role: plan.Role(reverted.Role), Name: reverted.Instance}
		if at := slices.Index(pods, failed); at > 0 {
			pods = slices.Insert(slices.Delete(pods, at, at+1), 0, failed)
		}
		return append(pods, members...)
	}
	return append(members, pods...)
}

func newTransition(revision int64, steps []plan.Step) *v1alpha1.Transition {
	t := &v1alpha1.Transition{Revision: revision}
	for _, s := range steps {
		t.Steps = append(t.Steps, v1alpha1.TransitionStep{Role: string(s.Role), Action: string(s.Action), Instance: s.Name})
	}
	return t
}

func stepsOf(t *v1alpha1.Transition) []plan.Step {
	steps := make([]plan.Step, len(t.Steps))
	for i, s := range t.Steps {
		steps[i] = plan.Step{Role: plan.Role(s.Role), Name: s.Instance, Action: plan.Action(s.Action)}
	}
	return steps
}

// setUpdating sets the condition Updating, with an event when a transition begins.
func (rollouts) setUpdating(r *report, t *v1alpha1.Transition, decision plan.Decision, paused bool) {
	message := fmt.Sprintf("step %d of %d: %s", decision.Step+1, len(t.Steps), stepsOf(t)[decision.Step])
	reason := reasonUpdating
	switch {
	case paused:
		reason = reasonUpdatesPaused
		message += fmt.Sprintf("; paused by the annotation %s: remove it to continue", v1alpha1.UpdatesAnnotation)
	case t.Waiting != "":
		message += "; waiting for " + t.Waiting
	}
	if r.setNote(v1alpha1.RuntimeUpdating, reason, message) {
		r.addEvent(false, reason, message)
	}
}

// act carries out an action, and returns what the step waits for then.
func (c rollouts) act(ctx context.Context, decision plan.Decision, w *workloads, m *masterState) (string, error) {
	name := decision.Instance.Name
	if decision.Action == plan.ActionTransfer {
		ctx, cancel := context.WithTimeout(ctx, transferTimeout)
		defer cancel()
		if _, err := m.masters.Transfer(ctx, decision.To); err != nil {
			return "another master to take the leadership of " + name, nil
		}
		return name + " to give up its leadership", nil
	}
	for _, pod := range w.instancePods(decision.Instance) {
		err := c.client.Delete(ctx, &pod, client.Preconditions{UID: &pod.UID})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return "", fmt.Errorf("replace pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return plan.Step{Role: decision.Instance.Role, Name: name}.Subject() + " to end", nil
}

// owned returns the pods of a role that its workload controls. Others may have its labels.
func (w *workloads) owned(role plan.Role) []corev1.Pod {
	var set metav1.Object
	switch {
	case role == plan.RoleMaster && w.masters != nil:
		set = w.masters
	case role == plan.RoleWorker && w.workers != nil:
		set = w.workers
	case role == plan.RoleFuse && w.fuse != nil:
		set = w.fuse
	default:
		return nil
	}
	var owned []corev1.Pod
	for _, pod := range w.pods[role] {
		if metav1.IsControlledBy(&pod, set) {
			owned = append(owned, pod)
		}
	}
	return owned
}

// instanceName returns the name of the instance of a pod. The pods of FUSE servers have
// random names, and there is one on a node.
func instanceName(role plan.Role, pod *corev1.Pod) string {
	if role == plan.RoleFuse {
		return pod.Spec.NodeName
	}
	return pod.Name
}

func (w *workloads) instancePods(i plan.Instance) []corev1.Pod {
	return slices.DeleteFunc(w.owned(i.Role), func(pod corev1.Pod) bool {
		return instanceName(i.Role, &pod) != i.Name || !pod.DeletionTimestamp.IsZero()
	})
}

// instances returns the instances of the workloads that were applied.
func (w *workloads) instances(r *report, want *desired, applied templates, m *masterState) []plan.Instance {
	var all []plan.Instance
	for _, role := range plan.Roles {
		template, found := applied[role]
		if !found {
			continue
		}
		digest := render.Digest(template)
		for _, pod := range w.owned(role) {
			name := instanceName(role, &pod)
			if name == "" {
				continue // a FUSE server that is not scheduled
			}
			i := plan.Instance{
				Role: role, Name: name, Ending: !pod.DeletionTimestamp.IsZero(), Running: health.PodRuns(&pod),
				Current: render.Current(&pod, digest),
			}
			if role == plan.RoleMaster {
				m.setMember(&i, want)
			} else if reverted := r.status.Reverted; reverted != nil && !i.Current && render.Current(&pod, reverted.Template) && !health.PodReady(&pod) {
				// It has not become ready in time: its replacement waits for no other pod. A
				// master may be part of the majority all the same.
				i.Running = false
			}
			i.Ready = !i.Ending && health.PodReady(&pod)
			// While a FUSE server is replaced, a node may have both pods.
			if at := slices.IndexFunc(all, func(o plan.Instance) bool { return o.Role == role && o.Name == name }); at >= 0 {
				i.Ending, i.Ready = true, false
				all[at] = i
				continue
			}
			all = append(all, i)
		}
	}
	return all
}

// unobserved returns what to wait for until Kubernetes creates the pods of a role from
// the template that was applied; "" if it does.
func (w *workloads) unobserved(role plan.Role, applied templates) string {
	digest := ""
	if template := applied[role]; template != nil {
		digest = render.Digest(template)
	}
	check := func(name string, template *corev1.PodTemplateSpec, generation, observed int64) string {
		if render.Digest(template) == digest && observed >= generation {
			return ""
		}
		return fmt.Sprintf("the new pod template of %s to be observed", name)
	}
	switch {
	case role == plan.RoleFuse && w.fuse != nil:
		return check(w.fuse.Name, &w.fuse.Spec.Template, w.fuse.Generation, w.fuse.Status.ObservedGeneration)
	case role == plan.RoleMaster && w.masters != nil:
		return check(w.masters.Name, &w.masters.Spec.Template, w.masters.Generation, w.masters.Status.ObservedGeneration)
	case role == plan.RoleWorker && w.workers != nil:
		return check(w.workers.Name, &w.workers.Spec.Template, w.workers.Generation, w.workers.Status.ObservedGeneration)
	}
	return ""
}
