package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// evaluate sets the verdict, its message and the problems. known reports whether the
// webhook configurations could be read.
func (r *Report) evaluate(t *target, pod *corev1.Pod, known bool) {
	if r.declined() {
		r.Verdict, r.Message = NotAskedFor, r.Plan.Message
		return
	}
	if known {
		r.addProblems()
	}
	exists := t.Kind == "Pod" && pod.UID != ""
	switch calledOurs, why := r.ours(); {
	case exists && r.Sidecar:
		r.Verdict, r.Message = Injected, "the pod has its sidecar"
	case r.Plan.Reason == string(sidecar.ReasonNoDataset):
		r.Verdict, r.Message = NoDataset, r.Plan.Message
	case exists:
		r.Verdict, r.Message = Missed, "the pod was created without the sidecar that its labels request: fix the problems below, then delete and recreate it"
	case r.Plan.Outcome == "Refused":
		r.Verdict, r.Message = Refused, r.Plan.Message
	case !known:
		r.Verdict, r.Message = Unknown, "the webhook configurations could not be read"
	case !calledOurs && r.Policy == PolicyBound && why != "":
		r.Verdict, r.Message = Refused, fmt.Sprintf("the webhook is not called (%s), and policy %s rejects pods without their sidecar", why, names.SidecarPolicy)
	case !calledOurs:
		r.Verdict, r.Message = NotInjected, fmt.Sprintf("the webhook is not called: %s", why)
	case r.Endpoints == 0:
		r.Verdict, r.Message = Refused, fmt.Sprintf("Service %s/%s of the webhook has no ready endpoints, so the API server rejects the pod", names.SystemNamespace, names.Webhook)
	case !r.Trusted:
		r.Verdict, r.Message = Refused, fmt.Sprintf("configuration %s has no certificate authority, so the API server rejects the pod", names.PodWebhooks)
	default:
		r.Verdict, r.Message = WillBeInjected, "a pod that is created now gets the sidecar"
	}
}

func (r *Report) declined() bool {
	return r.Plan.Reason == string(sidecar.ReasonNotLabelled) || r.Plan.Reason == string(sidecar.ReasonOptedOut)
}

// ours reports whether one of our webhooks is called, and if not, why.
func (r *Report) ours() (bool, string) {
	why := fmt.Sprintf("MutatingWebhookConfiguration %s not found", names.PodWebhooks)
	first := true
	for _, w := range r.Webhooks {
		if w.Ours && w.Called {
			return true, ""
		}
		if w.Ours && first {
			why, first = w.Why, false
		}
	}
	return false, why
}

// addProblems adds the problems of the webhook and the policy, which concern pods
// that request a sidecar.
func (r *Report) addProblems() {
	add := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	if called, why := r.ours(); !called {
		add("the webhook is not called for the pod: %s", why)
	}
	if r.Endpoints == 0 {
		add("Service %s/%s has no ready endpoints: see kubectl get pods -n %s -l app=%s", names.SystemNamespace, names.Webhook, names.SystemNamespace, names.Webhook)
	}
	if !r.Trusted {
		if called, _ := r.ours(); called {
			add("MutatingWebhookConfiguration %s has no certificate authority yet: the webhook sets it when it starts", names.PodWebhooks)
		}
	}
	switch r.Policy {
	case PolicyAbsent:
		add("ValidatingAdmissionPolicy %s not found: pods could start without their data if the webhook is down; apply install.yaml again", names.SidecarPolicy)
	case PolicyNotBound:
		add("ValidatingAdmissionPolicy %s has no binding: pods could start without their data if the webhook is down; apply install.yaml again", names.SidecarPolicy)
	}
}
