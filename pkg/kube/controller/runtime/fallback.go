package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
)

// maxFallbackBytes limits the templates that are kept in the status: an object of the API
// is limited to about 1.5 MiB. A component with a larger template has no fallback.
const maxFallbackBytes = 192 << 10

// fallbacks keeps the pod templates with which components became ready, and uses them
// instead of the templates of the effective spec after an update has failed.
//
// Input: the effective spec, the templates that were rendered and applied, and the pods.
// Output: status.fallbacks, status.reverted and the condition RolloutReverted.
//
// Invariants: a fallback is in the saved status before a newer template is applied. It is a
// template with which a pod of the component was ready, and the controller has rendered
// it. It is removed when every pod of the component is ready with the newer template.
// Until one is, each pod with the newer template is judged; then only the pod of the
// current step, until it is ready for the first time, so that a pod that fails later for
// another reason reverts nothing. While status.reverted exists nothing is judged: the
// component runs with the fallback until its rendered template is another one, or a user
// requests a retry. All of this is in the status, so that a controller that is stopped at
// any point continues with the same state.
type fallbacks struct {
	// image is the image of the controller.
	image string
}

// use replaces rendered templates by fallbacks, if an update was reverted. It returns the
// objects to apply.
func (f fallbacks) use(r *report, want *desired, in *render.Input, rendered []client.Object) []client.Object {
	r.status.Fallbacks = slices.DeleteFunc(r.status.Fallbacks, func(b v1alpha1.ComponentFallback) bool { return !usable(&b, want) })
	if r.status.Reverted == nil {
		return rendered
	}
	if f.released(r, want, rendered) {
		r.status.Reverted = nil
		for i := range r.status.Fallbacks {
			restart(&r.status.Fallbacks[i])
		}
		return rendered
	}
	return slices.DeleteFunc(rendered, func(o client.Object) bool {
		template, fallback := render.Template(o), fallbackOf(r.status, role(o.GetLabels()))
		if template == nil || fallback == nil {
			return false
		}
		*template = *fallback.Template.DeepCopy()
		return in.Allowed(o) != nil // then the existing object is left as it is
	})
}

// restart makes the next pod with a newer template the first one.
func restart(b *v1alpha1.ComponentFallback) { b.Instance, b.Since = "", nil }

// released reports whether a reverted update is to be attempted, or was replaced by another
// one.
func (f fallbacks) released(r *report, want *desired, rendered []client.Object) bool {
	reverted := r.status.Reverted
	if reverted.Retry != retryOf(r.runtime) || fallbackOf(r.status, plan.Role(reverted.Role)) == nil {
		return true
	}
	if want.effective.Renderer != f.image {
		return false // the templates of another version of the controller are kept
	}
	return slices.ContainsFunc(rendered, func(o client.Object) bool {
		template := render.Template(o)
		return template != nil && role(o.GetLabels()) == plan.Role(reverted.Role) && render.Digest(template) != reverted.Template
	})
}

// usable reports whether a fallback is a template of a component of the runtime.
func usable(b *v1alpha1.ComponentFallback, want *desired) bool {
	if render.Digest(&b.Template) == "" || len(b.Template.Spec.Containers) == 0 || want.component(plan.Role(b.Role)) == nil {
		return false
	}
	for key, value := range render.Selector(want.plan.Name, plan.Role(b.Role)) {
		if b.Template.Labels[key] != value {
			return false
		}
	}
	return true
}

// component returns the component of a role; nil without one.
func (d *desired) component(of plan.Role) *plan.Component {
	switch of {
	case plan.RoleMaster:
		return d.plan.Masters
	case plan.RoleWorker:
		return d.plan.Workers
	case plan.RoleFuse:
		return d.plan.Fuse
	}
	return nil
}

func fallbackOf(status *v1alpha1.RuntimeStatus, of plan.Role) *v1alpha1.ComponentFallback {
	for i := range status.Fallbacks {
		if status.Fallbacks[i].Role == string(of) {
			return &status.Fallbacks[i]
		}
	}
	return nil
}

// retryOf returns a digest of the annotation that repeats an update; "" without it.
func retryOf(runtime *v1alpha1.JindoRuntime) string {
	value, found := runtime.Annotations[v1alpha1.RetryAnnotation]
	if !found {
		return ""
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:8])
}

// record keeps the templates with which components are ready, before templates of the next
// effective spec replace them. A component of which a pod has not been replaced yet, or is
// not ready, keeps the fallback that it has.
func (fallbacks) record(r *report, want *desired, applied templates, w *workloads) {
	if r.status.Effective.Revision == want.effective.Revision || !plan.ReplacesPods(want.effective, r.status.Effective) {
		return
	}
	size := 0
	var next []v1alpha1.ComponentFallback
	for _, of := range plan.Roles {
		kept, template := fallbackOf(r.status, of).DeepCopy(), applied[of]
		if kept == nil && template != nil && render.Digest(template) != "" && w.ready(of, render.Digest(template)) > 0 {
			kept = &v1alpha1.ComponentFallback{Role: string(of), Template: *template.DeepCopy()}
		}
		if kept == nil {
			continue
		}
		restart(kept)
		raw, err := json.Marshal(kept)
		if size += len(raw); err != nil || size > maxFallbackBytes {
			size -= len(raw)
			continue
		}
		next = append(next, *kept)
	}
	r.status.Fallbacks = next
}

// of returns the pods of a role that have a template and are not being deleted.
func (w *workloads) of(role plan.Role, digest string) []corev1.Pod {
	return slices.DeleteFunc(w.owned(role), func(pod corev1.Pod) bool {
		return !pod.DeletionTimestamp.IsZero() || !render.Current(&pod, digest)
	})
}

// ready returns the number of pods of a role that are ready with a template.
func (w *workloads) ready(role plan.Role, digest string) int {
	return len(slices.DeleteFunc(w.of(role, digest), func(pod corev1.Pod) bool { return !health.PodReady(&pod) }))
}

// reconcile removes fallbacks that are not needed any more, and reports whether it has
// ended an update, because a pod of a component did not become ready. Then the next pass
// returns to the fallbacks. number is the number of instances of each role.
func (f fallbacks) reconcile(r *report, applied templates, w *workloads, instances []plan.Instance, number map[plan.Role]int) bool {
	ended := false
	if r.status.Reverted == nil {
		r.status.Fallbacks = slices.DeleteFunc(r.status.Fallbacks, func(b v1alpha1.ComponentFallback) bool {
			of := plan.Role(b.Role)
			template := applied[of]
			if template == nil {
				return false
			}
			ready := w.ready(of, render.Digest(template))
			return render.Digest(template) == render.Digest(&b.Template) || ready > 0 && ready >= number[of]
		})
		ended = f.judge(r, applied, w, instances, number)
	}
	reason, message := reasonFirstPodFailed, ""
	if reverted := r.status.Reverted; reverted != nil {
		if b := fallbackOf(r.status, plan.Role(reverted.Role)); b != nil && b.Instance != "" {
			reason = reasonLaterPodFailed
		}
		message = f.message(r)
	}
	r.setProblem(v1alpha1.RuntimeRolloutReverted, reason, message)
	return ended
}

// judge sets status.reverted if a pod of a component has failed.
func (f fallbacks) judge(r *report, applied templates, w *workloads, instances []plan.Instance, number map[plan.Role]int) bool {
	steps, current := currentStep(r.status.Transition, instances, number)
	awaited := awaitedPod(steps, current, instances)
	for i := range r.status.Fallbacks {
		fallback := &r.status.Fallbacks[i]
		of := plan.Role(fallback.Role)
		template := applied[of]
		if template == nil {
			continue
		}
		digest := render.Digest(template)
		pods := w.of(of, digest)
		if done := lastDone(steps, current, of); done != "" && fallback.Instance == "" {
			fallback.Instance, fallback.Since = done, nil
		}
		if fallback.Instance != "" {
			pods = observeLater(fallback, r.now, pods, steps, current, awaited)
		} else {
			pods = observeFirst(fallback, r.now, pods, awaited)
		}
		if fallback.Since == nil {
			continue
		}
		instance, cause := limits(of).failed(of, pods, awaited, r.now.Sub(fallback.Since.Time))
		if cause == "" {
			continue
		}
		r.status.Reverted = &v1alpha1.RevertedUpdate{
			Revision: r.status.Effective.Revision, Role: string(of), Instance: instance, Message: cause,
			Template: render.Digest(template), Retry: retryOf(r.runtime), Time: r.now,
		}
		// The steps are planned anew.
		r.status.Transition, r.requeueAfter = nil, immediately
		return true
	}
	return false
}

// lastDone returns the instance of the last step of a role before the current one; "" if
// there is none.
func lastDone(steps []plan.Step, current int, of plan.Role) string {
	name := ""
	for _, step := range steps[:current] {
		if step.Role == of && step.Action == plan.ActionNone {
			name = step.Name
		}
	}
	return name
}

// observeFirst observes the pods of a component with the newer template before the first
// step is done, and returns those to judge, which are not ready. It sets the time since
// which there is one.
func observeFirst(b *v1alpha1.ComponentFallback, now metav1.Time, pods []corev1.Pod, awaited plan.Step) []corev1.Pod {
	starting := slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return health.PodReady(&pod) })
	missing := awaited.Role == plan.Role(b.Role)
	switch {
	case len(starting) == 0 && len(pods) > 0 && !missing:
		b.Since = nil // all are ready
	case b.Since == nil && (len(starting) > 0 || missing):
		b.Since = now.DeepCopy()
	}
	return starting
}

// observeLater observes the pod of the current step of a component of which an earlier
// step is done, and returns the pods to judge: that one, until it is ready
// for the first time. It sets the time since which the pod is observed.
func observeLater(b *v1alpha1.ComponentFallback, now metav1.Time, pods []corev1.Pod, steps []plan.Step, current int, awaited plan.Step) []corev1.Pod {
	of := plan.Role(b.Role)
	named := func(name string) []corev1.Pod {
		return slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return instanceName(of, &pod) != name })
	}
	if slices.ContainsFunc(named(b.Instance), func(pod corev1.Pod) bool { return health.PodReady(&pod) }) {
		b.Since = nil // it has become ready
	}
	if current == len(steps) || steps[current].Role != of {
		return nil
	}
	step := steps[current]
	started := named(step.Name)
	if len(started) == 0 && awaited.Role != of {
		return nil // it has not been replaced yet
	}
	last := slices.IndexFunc(steps, func(s plan.Step) bool { return s.Role == of && s.Name == b.Instance })
	if current > last {
		b.Instance, b.Since = step.Name, now.DeepCopy()
	}
	if b.Instance != step.Name {
		return nil // it was ready before
	}
	return started
}

// currentStep returns the steps of a transition and the index of the current one, which is
// their number if there is none.
func currentStep(t *v1alpha1.Transition, instances []plan.Instance, number map[plan.Role]int) ([]plan.Step, int) {
	if t == nil {
		return nil, 0
	}
	steps := stepsOf(t)
	return steps, plan.NextStep(steps, instances, number).Step
}

// awaitedPod returns the current step of a transition if its pod does not exist; otherwise
// a step without a role.
func awaitedPod(steps []plan.Step, current int, instances []plan.Instance) plan.Step {
	if current == len(steps) {
		return plan.Step{}
	}
	step := steps[current]
	exists := slices.ContainsFunc(instances, func(i plan.Instance) bool { return i.Role == step.Role && i.Name == step.Name })
	if exists || step.Action != plan.ActionNone {
		return plan.Step{}
	}
	return step
}

// message describes the reverted update.
func (fallbacks) message(r *report) string {
	reverted := r.status.Reverted
	var kept []string
	for _, b := range r.status.Fallbacks {
		kept = append(kept, componentNames[plan.Role(b.Role)])
	}
	step := plan.Step{Role: plan.Role(reverted.Role), Name: reverted.Instance}
	return fmt.Sprintf("%s did not become ready with the template of revision %d: %s; %s have the previous templates until the spec is corrected, or until the annotation %s is changed, which \"rollout retry\" does",
		step.Subject(), reverted.Revision, reverted.Message, joinWords(kept), v1alpha1.RetryAnnotation)
}

var componentNames = map[plan.Role]string{plan.RoleMaster: "masters", plan.RoleWorker: "workers", plan.RoleFuse: "FUSE servers"}

func joinWords(words []string) string {
	switch n := len(words); n {
	case 0:
		return "components"
	case 1:
		return words[0]
	case 2:
		return words[0] + " and " + words[1]
	default:
		return words[0] + ", " + joinWords(words[1:])
	}
}
