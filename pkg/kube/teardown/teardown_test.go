package teardown_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// stand is a teardown in front of a fake API server.
type stand struct {
	t      *testing.T
	c      client.WithWatch
	deps   teardown.Deps
	events *events.FakeRecorder
	rt     *v1alpha1.JindoRuntime
	// refused is what creating a pod answers.
	refused error
}

func newStand(t *testing.T, objects ...client.Object) *stand {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	s := &stand{t: t, events: events.NewFakeRecorder(1000), rt: hadoop()}
	s.c = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&corev1.Pod{}, &corev1.Node{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: s.create}).Build()
	s.deps = teardown.Deps{Client: s.c, Live: s.c, SystemNamespace: system, Image: "jindo:test", Recorder: s.events}
	return s
}

// create gives pods the time that the API server gives them.
func (s *stand) create(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
	if pod, is := o.(*corev1.Pod); is {
		if s.refused != nil {
			return s.refused
		}
		pod.CreationTimestamp = metav1.Now()
	}
	return c.Create(ctx, o, opts...)
}

func hadoop() *v1alpha1.JindoRuntime {
	return &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hadoop", Namespace: namespace, UID: "uid-1"}}
}

func (s *stand) turn() teardown.Result {
	s.t.Helper()
	result, err := teardown.Runtime(s.t.Context(), s.deps, s.rt)
	if err != nil {
		s.t.Fatal(err)
	}
	if !result.Done && result.Again <= 0 {
		s.t.Errorf("it does not say when to go on: %+v", result)
	}
	return result
}

// finish goes on until it is done or waits for something else than itself.
func (s *stand) finish() teardown.Result {
	s.t.Helper()
	var last teardown.Result
	for range 40 {
		result := s.turn()
		if result.Done || result.Blocked != "" {
			return result
		}
		last = result
	}
	return last
}

func (s *stand) there(o client.Object) bool {
	s.t.Helper()
	err := s.c.Get(s.t.Context(), client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *stand) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// told answers the events since the last call.
func (s *stand) told() string {
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

// everything that a runtime has in the cluster.
func everything() []client.Object {
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
		&corev1.Secret{ObjectMeta: meta(system, names.AuthoritySecret("uid-1"), nil)},
	}
	for i := range 3 {
		objects = append(objects,
			&corev1.PersistentVolumeClaim{ObjectMeta: meta(namespace, names.MasterClaim(n, i), nil)},
			&corev1.PersistentVolume{ObjectMeta: meta("", names.MasterVolume(namespace, n, i), runtimeLabels())},
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

func TestEverythingGoes(t *testing.T) {
	// Of others: what only has the names, and what has other names.
	foreign := []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "hadoop-jindofs-master"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"}},
		&corev1.Service{ObjectMeta: meta(namespace, "hadoop2-jindofs-worker", nil)},
	}
	s := newStand(t, slices.Concat(everything(), foreign, []client.Object{
		node("node-1", names.CacheNodeLabel(namespace, "hadoop"), names.FuseNodeLabel(namespace, "hadoop"), names.CacheNodeLabel(namespace, "hive")),
	})...)
	if result := s.finish(); !result.Done {
		t.Fatalf("it ends with %+v", result)
	}
	for _, o := range everything() {
		if s.there(o) {
			t.Errorf("%T %s is there", o, o.GetName())
		}
	}
	for _, o := range foreign {
		if !s.there(o) {
			t.Errorf("%T %s of somebody else is gone", o, o.GetName())
		}
	}
	n := node("node-1")
	if s.there(n); len(n.Labels) != 2 || n.Labels["keep"] != "x" || n.Labels[names.CacheNodeLabel(namespace, "hive")] != "true" {
		t.Errorf("the node has %v", n.Labels)
	}
	if told := s.told(); told != "" {
		t.Errorf("events: %s", told)
	}
	if result := s.finish(); !result.Done {
		t.Errorf("a second time it ends with %+v", result)
	}
}

func TestForeignSecretOfTheSameName(t *testing.T) {
	mine := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop-jindofs-credentials"}}
	s := newStand(t, mine)
	if result := s.finish(); !result.Done || !s.there(mine) {
		t.Errorf("%+v, there %v", result, s.there(mine))
	}
}

// TestPodsThatMountBlock: until they are gone nothing is touched.
func TestPodsThatMountBlock(t *testing.T) {
	s := newStand(t, append(everything(), reader("a"), reader("b"))...)
	result := s.turn()
	if result.Done || !strings.Contains(result.Blocked, "pods a and b mount PersistentVolumeClaim hbase") {
		t.Errorf("got %+v", result)
	}
	for _, o := range everything() {
		if !s.there(o) || o.GetDeletionTimestamp() != nil {
			t.Errorf("%T %s is gone", o, o.GetName())
		}
	}
	s.must(s.c.Delete(t.Context(), reader("a")))
	s.must(s.c.Delete(t.Context(), reader("b")))
	if result := s.finish(); !result.Done {
		t.Errorf("it ends with %+v", result)
	}
}

// TestPodsEnd: nothing else goes before the runtime's pods have ended, and one
// on a node that does not answer is not waited for.
func TestPodsEnd(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: meta(namespace, "hadoop-jindofs-worker-0", names.Labels("hadoop", "worker")), Spec: corev1.PodSpec{NodeName: "node-2"}}
	pod.Finalizers = []string{"test/kubelet"}
	s := newStand(t, append(everything(), pod)...)
	result := s.finish()
	if result.Done || !strings.Contains(result.Waiting, "pods hadoop-jindofs-worker-0 are ending") {
		t.Fatalf("got %+v", result)
	}
	if !s.there(&corev1.Secret{ObjectMeta: meta(namespace, "hadoop-jindofs-worker", nil)}) || s.there(&appsv1.StatefulSet{ObjectMeta: meta(namespace, "hadoop-jindofs-worker", nil)}) {
		t.Error("the order is another")
	}
	stuck := newStand(t, append(everything(), ended(pod, time.Hour))...)
	if result := stuck.finish(); !result.Done {
		t.Errorf("it waits for ever: %+v", result)
	}
	if told := stuck.told(); !strings.Contains(told, "node node-2 does not answer") {
		t.Errorf("events: %s", told)
	}
}

// ended is a pod whose grace period was over some time ago.
func ended(pod *corev1.Pod, ago time.Duration) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-ago)}
	return pod
}

func (s *stand) cleaners() []corev1.Pod {
	s.t.Helper()
	pods := &corev1.PodList{}
	s.must(s.c.List(s.t.Context(), pods, client.InNamespace(system)))
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Spec.NodeName+a.Name, b.Spec.NodeName+b.Name) })
	return pods.Items
}

// end lets a cleaner end.
func (s *stand) end(pod corev1.Pod, phase corev1.PodPhase, message string) {
	s.t.Helper()
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: message}}}}
	s.must(s.c.Status().Update(s.t.Context(), &pod))
	pod.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Minute))
	s.must(s.c.Update(s.t.Context(), &pod))
}

func directories() []v1alpha1.CacheDirectory {
	return []v1alpha1.CacheDirectory{
		{Node: "gone", Paths: []string{"/mnt/disk1/default/hadoop"}},
		{Node: "node-1", Paths: []string{"/mnt/disk1/default/hadoop/jindofs/tier", "/mnt/disk1/default/hadoop/jindofs/data", "/mnt/disk2/default/hadoop", "/etc"}},
		{Node: "node-2", Paths: []string{"/mnt/disk1/default/hadoop/jindofs/master"}},
	}
}

func TestDirectoriesAreRemoved(t *testing.T) {
	s := newStand(t, append(everything(), node("node-1"), node("node-2"))...)
	s.rt.Status.CacheDirectories = directories()
	result := s.finish()
	if result.Done || !strings.Contains(result.Waiting, "node-1, node-2") {
		t.Fatalf("got %+v", result)
	}
	pods := s.cleaners()
	if len(pods) != 2 || pods[0].Spec.NodeName != "node-1" || pods[1].Spec.NodeName != "node-2" {
		t.Fatalf("cleaners %+v", pods)
	}
	spec := pods[0].Spec
	if len(spec.Volumes) != 2 || spec.Volumes[0].HostPath.Path != "/mnt/disk1" || spec.Volumes[1].HostPath.Path != "/mnt/disk2" {
		t.Errorf("volumes %+v", spec.Volumes)
	}
	if got := strings.Join(spec.Containers[0].Args, " "); got != "--uid=uid-1 --below=default/hadoop --report=/dev/termination-log /clean/0 /clean/1" {
		t.Errorf("args %s", got)
	}
	s.end(pods[0], corev1.PodSucceeded, "kept default/hadoop/jindofs/x has no file")
	if result := s.finish(); result.Done || !strings.Contains(result.Waiting, "from node-2") {
		t.Fatalf("got %+v", result)
	}
	s.end(pods[1], corev1.PodSucceeded, "")
	if result := s.finish(); !result.Done {
		t.Fatalf("got %+v", result)
	}
	if left := s.cleaners(); len(left) > 0 {
		t.Errorf("cleaners are left: %+v", left)
	}
	if told := s.told(); !strings.Contains(told, "node node-1: kept default/hadoop/jindofs/x") || strings.Contains(told, "node-2") {
		t.Errorf("events: %s", told)
	}
}

// TestLostStatusDirectories: the workers' label says where they were.
func TestLostStatusDirectories(t *testing.T) {
	s := newStand(t, node("node-1", names.CacheNodeLabel(namespace, "hadoop")), node("node-2"))
	s.rt.Spec.TieredStore.Levels = []v1alpha1.Level{{MediumType: v1alpha1.MediumSSD, Path: "/mnt/disk1,/mnt/disk2", Quota: "2Gi"}, {MediumType: v1alpha1.MediumMEM, Path: "/dev/shm", Quota: "1Gi"}}
	s.finish()
	pods := s.cleaners()
	if len(pods) != 1 || pods[0].Spec.NodeName != "node-1" || len(pods[0].Spec.Volumes) != 2 {
		t.Errorf("cleaners %+v", pods)
	}
}

func TestCleanersFail(t *testing.T) {
	s := newStand(t, node("node-1"))
	s.rt.Status.CacheDirectories = directories()[1:2]
	for try := range 3 {
		if result := s.finish(); result.Done {
			t.Fatalf("try %d: %+v", try, result)
		}
		pods := s.cleaners()
		if len(pods) != try+1 {
			t.Fatalf("try %d: %d cleaners", try, len(pods))
		}
		s.end(pods[try], corev1.PodFailed, fmt.Sprintf("error: disk %d", try))
	}
	if result := s.finish(); !result.Done {
		t.Errorf("it goes on for ever: %+v", result)
	}
	told := s.told()
	if !strings.Contains(told, "/mnt/disk1/default/hadoop, /mnt/disk2/default/hadoop on node node-1 may still be there") || !strings.Contains(told, "disk 2") {
		t.Errorf("events: %s", told)
	}
	if left := s.cleaners(); len(left) > 0 {
		t.Errorf("cleaners are left: %+v", left)
	}
}

func TestNodesThatAreAway(t *testing.T) {
	away := func(since time.Duration) *corev1.Node {
		n := node("node-1")
		n.Status.Conditions[0].Status = corev1.ConditionUnknown
		n.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Now().Add(-since))
		return n
	}
	s := newStand(t, away(time.Hour))
	s.rt.Status.CacheDirectories = directories()[1:2]
	if result := s.finish(); !result.Done {
		t.Errorf("it waits for a node that is away: %+v", result)
	}
	if told := s.told(); !strings.Contains(told, "not been ready since") {
		t.Errorf("events: %s", told)
	}
	s = newStand(t, away(time.Second))
	s.rt.Status.CacheDirectories = directories()[1:2]
	if result := s.finish(); result.Done {
		t.Error("it does not wait for a node that was there a second ago")
	}
}

func TestCleanersThatMayNotBeMade(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	s := newStand(t, node("node-1"))
	s.refused = apierrors.NewForbidden(pods, "x", errors.New("the namespace is being deleted"))
	s.rt.Status.CacheDirectories = directories()[1:2]
	if result := s.finish(); !result.Done {
		t.Errorf("it tries for ever: %+v", result)
	}
	if told := s.told(); !strings.Contains(told, "namespace is being deleted") {
		t.Errorf("events: %s", told)
	}
	s.refused = apierrors.NewServiceUnavailable("away")
	if _, err := teardown.Runtime(t.Context(), s.deps, s.rt); err == nil {
		t.Error("an API server that is away is no error")
	}
}

// TestControllerDiesAtEachStep: whatever was done, a new one goes on.
func TestControllerDiesAtEachStep(t *testing.T) {
	for steps := range 25 {
		s := newStand(t, append(everything(), node("node-1", names.CacheNodeLabel(namespace, "hadoop")), node("node-2"))...)
		s.rt.Status.CacheDirectories = directories()
		calls := 0
		c := interceptor.NewClient(s.c, interceptor.Funcs{
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				if calls++; calls > steps {
					return errors.New("the controller was killed")
				}
				return c.Delete(ctx, o, opts...)
			},
		})
		dying := s.deps
		dying.Client = c
		for range 40 {
			if _, err := teardown.Runtime(t.Context(), dying, s.rt); err != nil {
				break
			}
		}
		result := s.finish()
		for range 3 {
			if result.Done {
				break
			}
			for _, pod := range s.cleaners() {
				s.end(pod, corev1.PodSucceeded, "")
			}
			result = s.finish()
		}
		if !result.Done {
			t.Errorf("after %d steps: %+v", steps, result)
		}
		for _, o := range everything() {
			if s.there(o) {
				t.Errorf("after %d steps: %T %s is there", steps, o, o.GetName())
			}
		}
	}
}

func TestSweep(t *testing.T) {
	living := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hive", Namespace: namespace, UID: "uid-2"}}
	hive := map[string]string{names.LabelRuntimeNamespace: namespace, names.LabelRuntimeName: "hive", names.LabelRuntimeUID: "uid-2"}
	cleaner := func(name, uid string) *corev1.Pod {
		labels := names.Labels("x", "cleaner")
		labels[names.LabelRuntimeUID] = uid
		return &corev1.Pod{ObjectMeta: meta(system, name, labels)}
	}
	alluxio := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "alluxio", Namespace: namespace}}
	alluxio.Status.Runtimes = []v1alpha1.Runtime{{Name: "alluxio", Type: "alluxio"}}
	gone := []client.Object{
		&corev1.PersistentVolume{ObjectMeta: meta("", "default-hbase", runtimeLabels()), Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: "hbase"}}},
		&corev1.PersistentVolume{ObjectMeta: meta("", names.MasterVolume(namespace, "hadoop", 0), runtimeLabels())},
		&corev1.Secret{ObjectMeta: meta(system, names.AuthoritySecret("uid-1"), nil)},
		cleaner("c1", "uid-1"),
	}
	kept := []client.Object{
		&corev1.PersistentVolume{ObjectMeta: meta("", "default-hive", hive)},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "somebody's"}},
		&corev1.PersistentVolume{ObjectMeta: meta("", "used", runtimeLabels()), Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: "used", UID: "u"}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "used", UID: "u"}},
		&corev1.Secret{ObjectMeta: meta(system, names.AuthoritySecret("uid-2"), nil)},
		&corev1.Secret{ObjectMeta: meta(system, "other", nil)},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "jindo-ca-mine"}},
		cleaner("c2", "uid-2"),
	}
	n := node("node-1", "fluid.io/s-default-hadoop", "fluid.io/f-default-hadoop", "fluid.io/s-default-hive", "fluid.io/f-default-hive",
		"fluid.io/s-default-alluxio", "fluid.io/s-alluxio-default-alluxio", "fluid.io/s-h-alluxio-t-default-alluxio", "fluid.io/dataset-num")
	s := newStand(t, slices.Concat(gone, kept, []client.Object{living, alluxio, n})...)
	for range 2 {
		s.must(teardown.Sweep(t.Context(), s.deps))
	}
	for _, o := range gone {
		if s.there(o) {
			t.Errorf("%T %s is there", o, o.GetName())
		}
	}
	for _, o := range kept {
		if !s.there(o) {
			t.Errorf("%T %s is gone", o, o.GetName())
		}
	}
	s.there(n)
	for label, want := range map[string]bool{
		"fluid.io/s-default-hadoop": false, "fluid.io/f-default-hadoop": false, "fluid.io/s-default-hive": true, "fluid.io/f-default-hive": true,
		"fluid.io/s-default-alluxio": true, "fluid.io/s-alluxio-default-alluxio": true, "fluid.io/s-h-alluxio-t-default-alluxio": true, "fluid.io/dataset-num": true, "keep": true,
	} {
		if _, got := n.Labels[label]; got != want {
			t.Errorf("label %s: %v", label, got)
		}
	}
}

// TestSweepKnowsNothing: who cannot say which runtimes there are removes none.
func TestSweepKnowsNothing(t *testing.T) {
	s := newStand(t, everything()...)
	s.deps.Live = interceptor.NewClient(s.c, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if _, is := l.(*v1alpha1.JindoRuntimeList); is {
				return errors.New("away")
			}
			return c.List(ctx, l, opts...)
		},
	})
	if err := teardown.Sweep(t.Context(), s.deps); err == nil {
		t.Error("it is no error")
	}
	for _, o := range everything() {
		if !s.there(o) {
			t.Errorf("%T %s is gone", o, o.GetName())
		}
	}
}
