package scopes_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

func meta(namespace, name string, age int64) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), CreationTimestamp: metav1.Unix(age, 0)}
}

func runtimeOf(namespace, name, recorded string, age int64) *v1alpha1.JindoRuntime {
	return &v1alpha1.JindoRuntime{ObjectMeta: meta(namespace, name, age), Status: v1alpha1.RuntimeStatus{ScopeName: recorded}}
}

func masterVolume(name, namespace, runtime, uid string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		names.LabelRuntimeNamespace: namespace, names.LabelRuntimeName: runtime, names.LabelRuntimeUID: uid,
	}}}
}

// TestRuntime decides the scope of a/b-c beside other objects.
func TestRuntime(t *testing.T) {
	t.Parallel()
	expected := names.ScopeOf("a", "b-c", "")
	foreign := &v1alpha1.Dataset{ObjectMeta: meta("a-b", "c", 0), Status: v1alpha1.DatasetStatus{Runtimes: []v1alpha1.Runtime{{Type: "alluxio"}}}}
	for name, test := range map[string]struct {
		others []client.Object
		want   names.Scope
	}{
		"alone":                        {nil, expected},
		"recorded by a younger one":    {[]client.Object{runtimeOf("a-b", "c", "a-b-c", 9)}, expected.Distinct(0)},
		"older without a record":       {[]client.Object{runtimeOf("a-b", "c", "", 1)}, expected.Distinct(0)},
		"younger without a record":     {[]client.Object{runtimeOf("a-b", "c", "", 9)}, expected},
		"same age, later name":         {[]client.Object{runtimeOf("a-b", "c", "", 5)}, expected.Distinct(0)},
		"other has a digest":           {[]client.Object{runtimeOf("a-b", "c", names.ScopeOf("a-b", "c", "").Distinct(0).Name, 1)}, expected},
		"another kind of runtime":      {[]client.Object{foreign}, expected.Distinct(0)},
		"digest taken by another name": {[]client.Object{runtimeOf("a-b", "c", "a-b-c", 1), runtimeOf("x", "y", expected.Distinct(0).Name, 1)}, expected.Distinct(1)},
		"volume of another":            {[]client.Object{masterVolume("a-b-c-jindofs-master-2", "a-b", "c", "other")}, expected.Distinct(0)},
		"volume of a person":           {[]client.Object{masterVolume("a-b-c-jindofs-master-0", "", "", "")}, expected.Distinct(0)},
		"volume of an earlier runtime": {[]client.Object{masterVolume("a-b-c-jindofs-master-0", "a", "b-c", "earlier")}, expected},
		"own volume, older other":      {[]client.Object{masterVolume("a-b-c-jindofs-master-0", "a", "b-c", "a/b-c"), runtimeOf("a-b", "c", "", 1)}, expected},
		"own volume with a digest":     {[]client.Object{masterVolume(expected.Distinct(0).MasterVolume(0), "a", "b-c", "a/b-c")}, expected.Distinct(0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := runtimeOf("a", "b-c", "", 5)
			got, err := scopes.Runtime(t.Context(), newClient(t, append(test.others, own)...), own)
			if err != nil || got != test.want {
				t.Errorf("scope %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

// TestDataset decides the scope of the volume of Dataset a/b-c.
func TestDataset(t *testing.T) {
	t.Parallel()
	expected := names.ScopeOf("a", "b-c", "")
	volume := func(name, namespace, claim string) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
			ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: claim},
		}}
	}
	for name, test := range map[string]struct {
		others []client.Object
		want   names.Scope
	}{
		"alone":              {nil, expected},
		"recorded":           {[]client.Object{&v1alpha1.Dataset{ObjectMeta: meta("a-b", "c", 9), Status: v1alpha1.DatasetStatus{VolumeName: "a-b-c"}}}, expected.Distinct(0)},
		"volume of another":  {[]client.Object{volume("a-b-c", "a-b", "c")}, expected.Distinct(0)},
		"own volume":         {[]client.Object{volume("a-b-c", "a", "b-c"), &v1alpha1.Dataset{ObjectMeta: meta("a-b", "c", 1)}}, expected},
		"volume of a person": {[]client.Object{&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "a-b-c"}}}, expected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := &v1alpha1.Dataset{ObjectMeta: meta("a", "b-c", 5)}
			got, err := scopes.Dataset(t.Context(), newClient(t, append(test.others, own)...), own)
			if err != nil || got != test.want {
				t.Errorf("scope %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

// TestDatasetNamedAsMasterVolume checks that no Dataset takes the name of the volume of
// another runtime's master, also before that runtime exists.
func TestDatasetNamedAsMasterVolume(t *testing.T) {
	t.Parallel()
	own := &v1alpha1.Dataset{ObjectMeta: meta("a-b", "jindofs-master-0", 5)}
	got, err := scopes.Dataset(t.Context(), newClient(t, own), own)
	if err != nil || got.Volume() == names.ScopeOf("a", "b", "").MasterVolume(0) {
		t.Errorf("scope %+v, %v", got, err)
	}
}

func newClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}
