package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// BenchmarkPod measures the processing of a review without requests to the cluster:
// the pod has no claims.
func BenchmarkPod(b *testing.B) {
	for _, containers := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d containers", containers), func(b *testing.B) {
			var list []string
			for i := range containers {
				list = append(list, fmt.Sprintf(`{"name":"c%d","image":"registry.example.com/train:1","args":["--epochs=90","--data=/data"],"env":[{"name":"VARIABLE","value":"a value of some length"},{"name":"ANOTHER","value":"a value of some length"}],"volumeMounts":[{"name":"data","mountPath":"/data"}],"resources":{}}`, i))
			}
			pod := []byte(`{"metadata":{"labels":{"` + names.LabelInject + `":"true"}},"spec":{"volumes":[{"name":"data","emptyDir":{}}],"containers":[`)
			for i, c := range list {
				if i > 0 {
					pod = append(pod, ',')
				}
				pod = append(pod, c...)
			}
			body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: reviewType(), Request: &admissionv1.AdmissionRequest{
				UID: "u", Namespace: "n", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: append(pod, "]}}"...)},
				Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			}})
			if err != nil {
				b.Fatal(err)
			}
			handler := NewServer(ServerOptions{}).Handler()
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, names.WebhookPath, bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK || !bytes.Contains(w.Body.Bytes(), []byte(`"allowed":true`)) {
					b.Fatalf("status %d: %s", w.Code, w.Body)
				}
			}
		})
	}
}
