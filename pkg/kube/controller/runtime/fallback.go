package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
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
// it. It is removed when a pod is ready with the newer template, so that an update whose
// first pod succeeded is never reverted. While status.reverted exists nothing is judged:
// the component runs with the fallback until its rendered template is another one, or a
// user requests a retry. All of this is in the status, so that a controller that is
// stopped at any point continues with the same state.
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
			r.status.Fallbacks[i].Since = nil
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
// effective spec replace them. A component that has no ready pod with its template keeps
// the fallback that it has.
func (fallbacks) record(r *report, want *desired, applied templates, w *workloads) {
	if r.status.Effective.Revision == want.effective.Revision || !plan.ReplacesPods(want.effective, r.status.Effective) {
		return
	}
	size := 0
	var next []v1alpha1.ComponentFallback
	for _, of := range plan.Roles {
		kept := fallbackOf(r.status, of)
		if template := applied[of]; template != nil && render.Digest(template) != "" && w.proven(of, render.Digest(template)) {
			kept = &v1alpha1.ComponentFallback{Role: string(of), Template: *template.DeepCopy()}
		}
		if kept == nil {
			continue
		}
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

// proven reports whether a pod of a role is ready with a template.
func (w *workloads) proven(role plan.Role, digest string) bool {
	return slices.ContainsFunc(w.of(role, digest), func(pod corev1.Pod) bool { return health.PodReady(&pod) })
}

// reconcile removes fallbacks that are not needed any more, and reports whether it has
// ended an update, because the first pod of a component did not become ready. Then the
// next pass returns to the fallbacks.
func (f fallbacks) reconcile(r *report, applied templates, w *workloads, instances []plan.Instance) bool {
	ended := false
	if r.status.Reverted == nil {
		r.status.Fallbacks = slices.DeleteFunc(r.status.Fallbacks, func(b v1alpha1.ComponentFallback) bool {
			template := applied[plan.Role(b.Role)]
			return template != nil && (render.Digest(template) == render.Digest(&b.Template) || w.proven(plan.Role(b.Role), render.Digest(template)))
		})
		ended = f.judge(r, applied, w, instances)
	}
	message := ""
	if r.status.Reverted != nil {
		message = f.message(r)
	}
	r.setProblem(v1alpha1.RuntimeRolloutReverted, reasonFirstPodFailed, message)
	return ended
}

// judge sets status.reverted if the first pod of a component has failed.
func (f fallbacks) judge(r *report, applied templates, w *workloads, instances []plan.Instance) bool {
	awaited := awaitedPod(r.status.Transition, instances)
	for i := range r.status.Fallbacks {
		fallback := &r.status.Fallbacks[i]
		of := plan.Role(fallback.Role)
		template := applied[of]
		if template == nil {
			continue
		}
		pods := w.of(of, render.Digest(template))
		if fallback.Since == nil && (len(pods) > 0 || awaited.Role == of) {
			fallback.Since = r.now.DeepCopy()
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

// awaitedPod returns the current step of a transition if its pod does not exist; otherwise
// a step without a role.
func awaitedPod(t *v1alpha1.Transition, instances []plan.Instance) plan.Step {
	if t == nil {
		return plan.Step{}
	}
	at := slices.IndexFunc(t.Steps, func(s v1alpha1.TransitionStep) bool { return !s.Done })
	if at < 0 {
		return plan.Step{}
	}
	step := stepsOf(t)[at]
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
	return fmt.Sprintf("%s did not become ready with the template of revision %d: %s; %s keep the previous templates until the spec is corrected, or until the annotation %s is changed, which \"rollout retry\" does",
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
