package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func reviewType() metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}
}

// noWrites fails the test on every request that is not a read.
func noWrites(t *testing.T) interceptor.Funcs {
	failed := errors.New("this is a write")
	return interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			t.Error(failed)
			return failed
		},
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
			t.Error(failed)
			return failed
		},
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			t.Error(failed)
			return failed
		},
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			t.Error(failed)
			return failed
		},
	}
}

// The handler returns the reviewed results of the pure function.
func TestGoldens(t *testing.T) {
	for _, c := range injecttest.Load(t, "../inject/testdata") {
		t.Run(c.Name, func(t *testing.T) {
			s := newTestbed(t, c.Objects...)
			response := s.pod(c.Pod)
			if c.Out == nil {
				refused := strings.SplitN(c.Outcome, ": ", 2)
				if response.Allowed || response.Result.Message+"\n" != refused[1] {
					t.Fatalf("response %+v, want %q", response, c.Outcome)
				}
				reason := strings.TrimPrefix(refused[0], "Refused ")
				if response.AuditAnnotations["reason"] != reason || s.counted(s.metrics.injections, "refused", reason) != 1 {
					t.Errorf("the request is not counted as refused for %s: %v", reason, response.AuditAnnotations)
				}
				return
			}
			if !response.Allowed {
				t.Fatalf("refused: %+v", response.Result)
			}
			var got []inject.Operation
			if len(response.Patch) > 0 {
				if err := json.Unmarshal(response.Patch, &got); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.Patch, got); diff != "" && len(c.Patch)+len(got) > 0 {
				t.Errorf("the patch differs:\n%s", diff)
			}
			again := s.pod(c.Pod)
			if !bytes.Equal(again.Patch, response.Patch) {
				t.Error("the same pod has another patch")
			}
			if response.AuditAnnotations["result"] == "" || response.AuditAnnotations["reason"] == "" {
				t.Errorf("audit annotations are %v", response.AuditAnnotations)
			}
			if second := s.pod(c.Out); !second.Allowed || len(second.Patch) > 0 {
				t.Errorf("a second pass: %+v", second)
			}
		})
	}
}

// Every request gets a response with a message, and none causes a panic.
func TestHostile(t *testing.T) {
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"serverless.fluid.io/inject":"true"}},"spec":{}}`
	review := func(object string) string {
		return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"vision","operation":"CREATE","resource":{"version":"v1","resource":"pods"},"object":%s}}`, object)
	}
	const asJSON = "application/json"
	for _, test := range []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{"good", asJSON, review(pod), 200, `"allowed":true`},
		{"with a charset", asJSON + "; charset=utf-8", review(pod), 200, `"allowed":true`},
		{"nothing", asJSON, "", 400, "not an AdmissionReview in JSON"},
		{"no content type", "", review(pod), 415, "send application/json"},
		{"YAML", "application/yaml", review(pod), 415, "send application/json"},
		{"protobuf", "application/vnd.kubernetes.protobuf", "k8s\x00", 415, "send application/json"},
		{"truncated", asJSON, review(pod)[:200], 400, "unexpected end"},
		{"more than one", asJSON, review(pod) + review(pod), 400, "after top-level value"},
		{"a list", asJSON, "[]", 400, "not an AdmissionReview in JSON"},
		{"a pod", asJSON, pod, 400, `is a "Pod" of "v1"`},
		{"an older version", asJSON, strings.Replace(review(pod), "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 400, "send an AdmissionReview of admission.k8s.io/v1"},
		{"a long kind", asJSON, `{"kind":"` + strings.Repeat("x", 100000) + `"}`, 400, "send an AdmissionReview"},
		{"no request", asJSON, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400, "has no request"},
		{"no uid", asJSON, strings.Replace(review(pod), `"uid":"u"`, `"uid":""`, 1), 400, "has no uid"},
		{"huge", asJSON, review(`"` + strings.Repeat("x", maxReview) + `"`), 413, "larger than"},
		{"deep", asJSON, review(strings.Repeat("[", 100000) + strings.Repeat("]", 100000)), 400, "max depth"},
		{"deep in objects", asJSON, review(strings.Repeat(`{"a":`, 100000) + "1" + strings.Repeat("}", 100000)), 400, "max depth"},
		{"no pod", asJSON, review("null"), 200, `"allowed":false`},
		{"a number", asJSON, review("7"), 200, `"allowed":false`},
		{"wrong types", asJSON, review(`{"metadata":{"labels":{"serverless.fluid.io/inject":"true"}},"spec":{"containers":{"a":1},"volumes":"x"}}`), 200, `"allowed":false`},
		{"not UTF-8", asJSON, review("{\"metadata\":{\"name\":\"\xff\xfe\"}}"), 200, `"allowed":`},
		{"not about pods", asJSON, strings.Replace(review(pod), `"pods"`, `"nodes"`, 1), 200, "correct the webhook configuration"},
		{"not about creation", asJSON, strings.Replace(review(pod), "CREATE", "DELETE", 1), 200, "correct the webhook configuration"},
		{"an eviction", asJSON, strings.Replace(review(pod), `"operation"`, `"subResource":"eviction","operation"`, 1), 200, "correct the webhook configuration"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTestbed(t)
			code, text := s.post(names.WebhookPath, test.contentType, []byte(test.body))
			if code != test.status || !strings.Contains(text, test.want) {
				t.Errorf("status %d and %.300q, want %d and %q", code, text, test.status, test.want)
			}
			if len(text) > 4096 {
				t.Errorf("the response has %d bytes", len(text))
			}
			if got := count(t, s.metrics.panics); got != 0 {
				t.Errorf("%v panics", got)
			}
			if unreadable := count(t, s.metrics.unreadable); (unreadable == 1) != (code != 200) {
				t.Errorf("%v are counted as unreadable", unreadable)
			}
		})
	}
	code, _ := newTestbed(t).post("/other", asJSON, []byte(review(pod)))
	if code != http.StatusNotFound {
		t.Errorf("another path has status %d", code)
	}
	w := httptest.NewRecorder()
	newTestbed(t).Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, names.WebhookPath, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET has status %d", w.Code)
	}
}

// A missing or wrong Content-Length does not bypass the limit.
func TestBodyLength(t *testing.T) {
	s := newTestbed(t)
	for name, length := range map[string]int64{"unknown": -1, "longer": 1000, "endless": maxReview + 1} {
		body := bytes.NewReader([]byte("{}"))
		if name == "unknown" {
			body = bytes.NewReader(bytes.Repeat([]byte(" "), maxReview+1))
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, names.WebhookPath, body)
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = length
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge && w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d %s", name, w.Code, w.Body)
		}
	}
	if !s.memory.TryAcquire(memory) {
		t.Error("memory of requests is not released")
	}
}

// A request is buffered once, whatever its size.
func TestMemoryIsBounded(t *testing.T) {
	s := newTestbed(t)
	body := []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","object":"` + strings.Repeat("x", 6<<20) + `"}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	code, _ := s.post(names.WebhookPath, "application/json", body)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; code != 200 || got > 8*maxReview {
		t.Errorf("status %d with %d MiB allocated", code, got>>20)
	}
}

func TestPanicRejects(t *testing.T) {
	s := newTestbed(t)
	h := &handler{Server: s.Server, path: "p", review: func(context.Context, *request) *admissionv1.AdmissionResponse { panic("no") }}
	response := h.respond(t.Context(), &request{})
	if response.Allowed || response.Result.Code != http.StatusInternalServerError || count(t, s.metrics.panics) != 1 {
		t.Errorf("response %+v", response)
	}
}

// A pod whose claims cannot be looked up is rejected.
func TestLookupFails(t *testing.T) {
	pod := []byte(`{"metadata":{"generateName":"train-","labels":{"serverless.fluid.io/inject":"true"}},"spec":{"containers":[{"name":"c","volumeMounts":[{"name":"v","mountPath":"/d"}]}],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"imagenet"}}]}}`)
	s := newTestbed(t)
	response := s.pod(pod)
	if response.Allowed || !strings.Contains(response.Result.Message, "create the Dataset first") || response.Result.Reason != metav1.StatusReasonForbidden {
		t.Errorf("without a Dataset: %+v", response)
	}
	if s.counted(s.metrics.injections, "refused", "UnknownClaim") != 1 {
		t.Error("the request is not counted")
	}
	broken := interceptor.NewClient(nil, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("the cluster is on fire")
		},
	})
	if response := newTestbedOn(t, broken).pod(pod); response.Allowed || !strings.Contains(response.Result.Message, "on fire") {
		t.Errorf("with a broken API server: %+v", response)
	}
}

func TestBounded(t *testing.T) {
	long := strings.Repeat("数", 300)
	got := bounded([]string{"a", long, "b"})
	if len(got) != 3 || len(got[1]) > maxWarning || !strings.HasSuffix(got[1], "数…") || !slices.Contains(got, "b") {
		t.Errorf("got %q", got)
	}
	var many []string
	for range 100 {
		many = append(many, strings.Repeat("x", 200))
	}
	if got := bounded(many); len(got) != 20 {
		t.Errorf("%d are kept", len(got))
	}
}
