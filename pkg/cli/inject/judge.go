package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// judge comes to a verdict.
func (r *Report) judge(t *target, pod *corev1.Pod, known bool) {
	if r.declined() {
		r.Verdict, r.Message = NotAskedFor, r.Plan.Message
		return
	}
	if known {
		r.problems()
	}
	exists := t.Kind == "Pod" && pod.UID != ""
	switch calledOurs, why := r.ours(); {
	case exists && r.Sidecar:
		r.Verdict, r.Message = Injected, "the pod has its sidecar"
	case r.Plan.Reason == string(sidecar.ReasonNoDataset):
		r.Verdict, r.Message = NoDataset, r.Plan.Message
	case exists:
		r.Verdict, r.Message = Missed, "the pod was created without the sidecar that its labels ask for: delete it, and create it again once nothing below is amiss"
	case r.Plan.Outcome == "Refused":
		r.Verdict, r.Message = Refused, r.Plan.Message
	case !known:
		r.Verdict, r.Message = Unknown, "whether the API server calls our webhook for the pod could not be read"
	case !calledOurs && r.Policy == PolicyBound && why != "":
		r.Verdict, r.Message = Refused, fmt.Sprintf("our webhook is not called (%s), and policy %s refuses pods without their sidecar", why, names.SidecarPolicy)
	case !calledOurs:
		r.Verdict, r.Message = NotInjected, fmt.Sprintf("our webhook is not called: %s", why)
	case r.Endpoints == 0:
		r.Verdict, r.Message = Refused, fmt.Sprintf("the API server cannot reach the webhook, since Service %s/%s has no ready endpoint, and refuses the pod", names.SystemNamespace, names.Webhook)
	case !r.Trusted:
		r.Verdict, r.Message = Refused, fmt.Sprintf("the API server does not trust the webhook, since configuration %s has no certificate authority, and refuses the pod", names.PodWebhooks)
	default:
		r.Verdict, r.Message = WillBeInjected, "a pod that is created now gets its sidecar"
	}
}

func (r *Report) declined() bool {
	return r.Plan.Reason == string(sidecar.ReasonNotLabelled) || r.Plan.Reason == string(sidecar.ReasonOptedOut)
}

// ours tells whether one of our webhooks is called, and if not why.
func (r *Report) ours() (bool, string) {
	why := fmt.Sprintf("there is no MutatingWebhookConfiguration %s", names.PodWebhooks)
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

// problems of the surroundings, which matter to pods that ask.
func (r *Report) problems() {
	add := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	if called, why := r.ours(); !called {
		add("our webhook is not called for the pod: %s", why)
	}
	if r.Endpoints == 0 {
		add("Service %s/%s has no ready endpoint: kubectl get pods -n %s -l app=%s says why", names.SystemNamespace, names.Webhook, names.SystemNamespace, names.Webhook)
	}
	if !r.Trusted {
		if called, _ := r.ours(); called {
			add("MutatingWebhookConfiguration %s has no certificate authority yet: the webhook writes it when it runs", names.PodWebhooks)
		}
	}
	switch r.Policy {
	case PolicyAbsent:
		add("ValidatingAdmissionPolicy %s is not there: without the webhook pods would start without their data; apply install.yaml again", names.SidecarPolicy)
	case PolicyNotBound:
		add("ValidatingAdmissionPolicy %s has no binding: without the webhook pods would start without their data; apply install.yaml again", names.SidecarPolicy)
	}
}
