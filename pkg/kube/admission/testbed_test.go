package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/ctrlreader"
	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// testbed is a Server with a fake cluster, which fails the test on every write.
type testbed struct {
	t *testing.T
	*Server
	registry *prometheus.Registry
}

func newTestbed(t *testing.T, objects ...client.Object) *testbed {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	return newTestbedOn(t, interceptor.NewClient(cluster, noWrites(t)))
}

func newTestbedOn(t *testing.T, reader client.Reader) *testbed {
	registry := prometheus.NewRegistry()
	return &testbed{t, NewServer(ServerOptions{Cached: ctrlreader.New(reader), Live: ctrlreader.New(reader), Image: injecttest.Image, Registry: registry}), registry}
}

// post sends a body and returns the status and the body of the response.
func (s *testbed) post(path, contentType string, body []byte) (int, string) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// send sends an AdmissionRequest as API servers do.
func (s *testbed) send(path string, request admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	s.t.Helper()
	request.UID = uuid.NewUUID()
	body, err := json.Marshal(admissionv1.AdmissionReview{Request: &request, TypeMeta: reviewType()})
	if err != nil {
		s.t.Fatal(err)
	}
	code, text := s.post(path, "application/json", body)
	if code != http.StatusOK {
		s.t.Fatalf("status %d: %s", code, text)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(text), &review); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	if review.TypeMeta != reviewType() || review.Response == nil || review.Response.UID != request.UID {
		s.t.Fatalf("the response is not an AdmissionReview for this request: %s", text)
	}
	return review.Response
}

// pod requests the creation of a pod.
func (s *testbed) pod(raw []byte) *admissionv1.AdmissionResponse {
	s.t.Helper()
	request := admissionv1.AdmissionRequest{Operation: admissionv1.Create, Namespace: injecttest.Namespace}
	request.Kind.Version, request.Kind.Kind = "v1", "Pod"
	request.Resource.Version, request.Resource.Resource = "v1", "pods"
	request.Object.Raw = raw
	return s.send(names.WebhookPath, request)
}

// write requests the creation or update of a custom resource; before is nil for a
// creation.
func (s *testbed) write(kind string, before, object client.Object) *admissionv1.AdmissionResponse {
	s.t.Helper()
	request := admissionv1.AdmissionRequest{Operation: admissionv1.Create, Namespace: injecttest.Namespace, Name: object.GetName()}
	request.Kind.Group, request.Kind.Version, request.Kind.Kind = v1alpha1.Group, v1alpha1.Version, kind
	request.Object.Raw = s.encode(object)
	if before != nil {
		request.Operation, request.OldObject.Raw = admissionv1.Update, s.encode(before)
	}
	return s.send(ValidationPath, request)
}

func (s *testbed) encode(object any) []byte {
	s.t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// counted returns the value of a counter with labels.
func (s *testbed) counted(counter *prometheus.CounterVec, labels ...string) float64 {
	s.t.Helper()
	return count(s.t, counter.WithLabelValues(labels...))
}

func count(t *testing.T, counter prometheus.Counter) float64 {
	t.Helper()
	var metric dto.Metric
	if err := counter.Write(&metric); err != nil {
		t.Fatal(err)
	}
	return metric.GetCounter().GetValue()
}
