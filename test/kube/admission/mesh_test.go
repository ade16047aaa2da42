package admission_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// With the webhook of a mesh, called before or after this one, the proxy is the first
// init container and there is one sidecar.
func TestNeighbours(t *testing.T) {
	s := start(t)
	s.up(t)
	for _, name := range []string{"a-mesh", "zz-mesh"} {
		t.Run(name, func(t *testing.T) {
			asked := s.mesh(t, name)
			namespace := s.namespace(t)
			s.dataset(t, namespace)
			var p *corev1.Pod
			eventually(t, "the webhook of the mesh is called", func() error {
				p = pod(namespace, "imagenet")
				return s.Create(t.Context(), p)
			})
			if asked.Load() == 0 {
				t.Fatal("the webhook of the mesh was not called")
			}
			var order []string
			for _, c := range p.Spec.InitContainers {
				order = append(order, c.Name)
			}
			if len(order) != 2 || order[0] != "istio-proxy" || order[1] != names.SidecarContainer || sidecars(p) != 1 {
				t.Errorf("init containers are %q", order)
			}
			raw, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if result, err := inject.Remove(raw); err != nil || len(result.Operations) == 0 {
				t.Errorf("the injected fields are incomplete: %v", err)
			}
		})
	}
}

// mesh is a webhook that injects a native proxy as the first init container of every
// pod.
func (s *apiserver) mesh(t *testing.T, name string) *atomic.Int32 {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review reviewv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = proxied(review.Request)
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	fail, none, again := admissionv1.Fail, admissionv1.SideEffectClassNone, admissionv1.IfNeededReinvocationPolicy
	namespaced := admissionv1.NamespacedScope
	s.make(t, &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []admissionv1.MutatingWebhook{{
		Name: "proxy.mesh.example.com", FailurePolicy: &fail, SideEffects: &none, ReinvocationPolicy: &again, AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionv1.WebhookClientConfig{
			URL: &server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: &namespaced},
		}},
	}}})
	return &asked
}

func proxied(request *reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
	answer := &reviewv1.AdmissionResponse{UID: request.UID, Allowed: true}
	var p corev1.Pod
	if err := json.Unmarshal(request.Object.Raw, &p); err != nil {
		answer.Allowed = false
		return answer
	}
	for _, c := range p.Spec.InitContainers {
		if c.Name == "istio-proxy" {
			return answer
		}
	}
	const proxy = `{"name":"istio-proxy","image":"mesh:1","restartPolicy":"Always"}`
	patch := `[{"op":"add","path":"/spec/initContainers/0","value":` + proxy + `}]`
	if len(p.Spec.InitContainers) == 0 {
		patch = `[{"op":"add","path":"/spec/initContainers","value":[` + proxy + `]}]`
	}
	kind := reviewv1.PatchTypeJSONPatch
	answer.Patch, answer.PatchType = []byte(patch), &kind
	return answer
}
