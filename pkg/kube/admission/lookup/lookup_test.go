package lookup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	kube "github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/ctrlreader"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const namespace = "vision"

// view is a fake cluster that counts requests.
type view struct {
	kube.Reader
	gets int
}

func newView(t *testing.T, objects ...client.Object) *view {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	v := &view{}
	v.Reader = ctrlreader.New(interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
			v.gets++
			return c.Get(ctx, key, into, options...)
		},
	}))
	return v
}

func pvc(name string, ours bool) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if ours {
		c.Labels = map[string]string{names.LabelManagedBy: names.ManagedBy}
	}
	return c
}

func dataset(name string, ready corev1.ConditionStatus, runtimeType string) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	d.Status.Phase = v1alpha1.BoundDatasetPhase
	d.Status.Conditions = []v1alpha1.DatasetCondition{{Type: v1alpha1.DatasetReady, Status: ready, Message: "why"}}
	if runtimeType != "" {
		d.Status.Runtimes = []v1alpha1.Runtime{{Name: name, Type: runtimeType}}
	}
	return d
}

func jindo(name, annotated string) *v1alpha1.JindoRuntime {
	r := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if annotated != "" {
		r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: annotated}
	}
	return r
}

func TestFind(t *testing.T) {
	elsewhere := dataset("d", corev1.ConditionTrue, "")
	elsewhere.Namespace = "other"
	all := func(objects ...client.Object) []client.Object { return objects }
	for _, test := range []struct {
		name         string
		cached, live []client.Object
		// want is "none" for a claim that does not belong to a Dataset, and
		// otherwise the runtime and whether the Dataset is ready.
		want    string
		gets    int // live
		wantErr string
	}{
		{"bound and ready", all(dataset("d", corev1.ConditionTrue, "jindo"), pvc("d", true), jindo("d", "")), nil, "d ready", 0, ""},
		{"bound and not ready", all(dataset("d", corev1.ConditionFalse, "jindo"), pvc("d", true), jindo("d", "")), nil, "d waits", 0, ""},
		{"bound by annotation", all(dataset("d", corev1.ConditionTrue, ""), pvc("d", true), jindo("other", "d")), nil, "other ready", 0, ""},
		{"unbound", all(dataset("d", corev1.ConditionFalse, "")), nil, "- waits", 0, ""},
		{"ready by mistake without a runtime", all(dataset("d", corev1.ConditionTrue, "")), nil, "- waits", 0, ""},
		{"not of a Dataset", all(pvc("d", false)), nil, "none", 0, ""},
		{"another product's", all(dataset("d", corev1.ConditionTrue, "alluxio"), pvc("d", false)), nil, "none", 0, ""},
		{"a Dataset with the name of a foreign claim", all(dataset("d", corev1.ConditionFalse, ""), pvc("d", false)), nil, "- waits", 0, ""},
		{"created and not in the cache yet", nil, all(dataset("d", corev1.ConditionFalse, "")), "- waits", 1, ""},
		{"a foreign claim, not in the cache yet", nil, all(pvc("d", false)), "none", 2, ""},
		{"our claim is known and its Dataset is not", all(pvc("d", true)), all(dataset("d", corev1.ConditionTrue, "")), "- waits", 1, ""},
		{"our claim is left over", all(pvc("d", true)), all(pvc("d", true)), "- waits", 1, ""},
		{"nothing", nil, nil, "", 2, "no PersistentVolumeClaim or Dataset d found in namespace vision"},
		{"only in another namespace", all(elsewhere), all(elsewhere), "", 2, "in namespace vision: create the Dataset first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cached, live := newView(t, test.cached...), newView(t, test.live...)
			found, err := Find(t.Context(), cached, live, namespace, []string{"d"})
			if live.gets != test.gets {
				t.Errorf("%d live requests, want %d", live.gets, test.gets)
			}
			if test.wantErr != "" {
				var unknown *Unknown
				if !errors.As(err, &unknown) || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := "none"
			if d := found["d"]; d != nil {
				got = "-"
				if d.Runtime != nil {
					got = d.Runtime.Name
				}
				got += map[bool]string{true: " ready", false: " waits"}[d.Ready]
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestSeveralClaims(t *testing.T) {
	v := newView(t, dataset("a", corev1.ConditionTrue, ""), jindo("a", ""), dataset("b", corev1.ConditionTrue, ""), jindo("x", "b"), pvc("c", false))
	found, err := Find(t.Context(), v, v, namespace, []string{"a", "b", "c"})
	if err != nil || len(found) != 2 || found["a"].Runtime.Name != "a" || found["b"].Runtime.Name != "x" {
		t.Errorf("found %v, error %v", found, err)
	}
	if found, err := Find(t.Context(), v, v, namespace, nil); err != nil || len(found) != 0 {
		t.Errorf("of no claims: %v, %v", found, err)
	}
}

// The time limit of one second for an API server that does not respond applies to
// all claims together.
func TestSilentServer(t *testing.T) {
	silent := interceptor.NewClient(nil, interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			<-ctx.Done()
			return ctx.Err()
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Find(ctx, newView(t), ctrlreader.New(silent), namespace, []string{"a", "b"})
	var unknown *Unknown
	if !errors.As(err, &unknown) || unknown.Err == nil || !strings.Contains(err.Error(), "did not respond within 1s") {
		t.Errorf("error %v", err)
	}
	if ctx.Err() != nil {
		t.Error("the lookup took until the deadline of the caller")
	}
}
