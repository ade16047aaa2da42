package teardown_test

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
)

const (
	namespace = "default"
	system    = "fluid-system"
)

// testbed is a runtime with a fake API server.
type testbed struct {
	t      *testing.T
	c      client.WithWatch
	deps   teardown.Deps
	events *events.FakeRecorder
	rt     *v1alpha1.JindoRuntime
	// createErr is the error of creating a pod.
	createErr error
}

func newTestbed(t *testing.T, objects ...client.Object) *testbed {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	s := &testbed{t: t, events: events.NewFakeRecorder(1000), rt: hadoop()}
	s.c = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&corev1.Pod{}, &corev1.Node{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: s.create}).Build()
	s.deps = teardown.Deps{Client: s.c, Live: s.c, SystemNamespace: system, Image: "jindo:test", Recorder: s.events}
	return s
}

// create sets the creation timestamp of pods, as the API server does.
func (s *testbed) create(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
	if pod, ok := o.(*corev1.Pod); ok {
		if s.createErr != nil {
			return s.createErr
		}
		pod.CreationTimestamp = metav1.Now()
	}
	return c.Create(ctx, o, opts...)
}

func hadoop() *v1alpha1.JindoRuntime {
	return &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hadoop", Namespace: namespace, UID: "uid-1"}}
}

func (s *testbed) step() teardown.Result {
	s.t.Helper()
	result, err := teardown.Runtime(s.t.Context(), s.deps, s.rt)
	if err != nil {
		s.t.Fatal(err)
	}
	if !result.Done && result.RequeueAfter <= 0 {
		s.t.Errorf("unfinished result without RequeueAfter: %+v", result)
	}
	return result
}

// run repeats the teardown until it is done or blocked, at most 40 times.
func (s *testbed) run() teardown.Result {
	s.t.Helper()
	var last teardown.Result
	for range 40 {
		result := s.step()
		if result.Done || result.Blocked != "" {
			return result
		}
		last = result
	}
	return last
}

func (s *testbed) exists(o client.Object) bool {
	s.t.Helper()
	err := s.c.Get(s.t.Context(), client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *testbed) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// recordedEvents returns the events since the last call.
func (s *testbed) recordedEvents() string {
	var all []string
	for {
		select {
		case e := <-s.events.Events:
			all = append(all, e)
		default:
			return strings.Join(all, "\n")
		}
	}
}

func meta(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	all := map[string]string{names.LabelManagedBy: names.ManagedBy}
	for key, value := range labels {
		all[key] = value
	}
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: all}
}

func runtimeLabels() map[string]string {
	return map[string]string{names.LabelRuntimeNamespace: namespace, names.LabelRuntimeName: "hadoop", names.LabelRuntimeUID: "uid-1"}
}

// allObjects returns all objects of a runtime in the cluster.
func allObjects() []client.Object {
	n := "hadoop"
	objects := []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: meta(namespace, "hbase", runtimeLabels()), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "default-hbase"}},
		&corev1.PersistentVolume{ObjectMeta: meta("", "default-hbase", runtimeLabels()), Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: "hbase"}}},
		&appsv1.StatefulSet{ObjectMeta: meta(namespace, n+"-jindofs-master", nil)},
		&appsv1.StatefulSet{ObjectMeta: meta(namespace, n+"-jindofs-worker", nil)},
		&appsv1.DaemonSet{ObjectMeta: meta(namespace, n+"-jindofs-fuse", nil)},
		&corev1.Service{ObjectMeta: meta(namespace, n+"-jindofs-worker", nil)},
		&corev1.ConfigMap{ObjectMeta: meta(namespace, names.Config(n), nil)},
		&corev1.ServiceAccount{ObjectMeta: meta(namespace, names.ServiceAccount(n), nil)},
		&policyv1.PodDisruptionBudget{ObjectMeta: meta(namespace, n+"-jindofs-master", nil)},
		&networkingv1.NetworkPolicy{ObjectMeta: meta(namespace, n+"-jindofs-master", nil)},
		&networkingv1.NetworkPolicy{ObjectMeta: meta(namespace, n+"-jindofs-worker", nil)},
		&networkingv1.NetworkPolicy{ObjectMeta: meta(namespace, n+"-jindofs-fuse", nil)},
		&corev1.Secret{ObjectMeta: meta(system, names.AuthoritySecret("uid-1"), nil)},
	}
	for i := range 3 {
		objects = append(objects,
			&corev1.PersistentVolumeClaim{ObjectMeta: meta(namespace, names.MasterClaim(n, i), nil)},
			&corev1.PersistentVolume{ObjectMeta: meta("", names.ScopeOf(namespace, n, "").MasterVolume(i), runtimeLabels())},
			&corev1.Service{ObjectMeta: meta(namespace, names.MasterService(n, i), nil)})
	}
	for _, role := range []string{"master", "worker", "fuse", "admin", "credentials"} {
		objects = append(objects, &corev1.Secret{ObjectMeta: meta(namespace, names.Secret(n, role), nil)})
	}
	return objects
}

func node(name string, labels ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"keep": "x"}}}
	for _, label := range labels {
		n.Labels[label] = "true"
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

func reader(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{NodeName: "node-1", Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "hbase"},
		}}}},
	}
}
