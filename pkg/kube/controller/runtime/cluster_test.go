package runtime_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/test/apiserver"
)

const (
	image  = "docker.io/jindo-io/jindo:test"
	system = names.SystemNamespace
	// testTimeout bounds waits; no test asserts it.
	testTimeout = time.Minute
)

// cluster is a kube-apiserver with the JindoRuntime controller. The tests do what
// kubelets and Kubernetes' controllers do in a real cluster.
type cluster struct {
	client.Client
	config  *rest.Config
	masters *fakeMasters
	counts  counts

	mu sync.Mutex
	// problems and steps are the results of credentials and teardown, by
	// namespace.
	problems map[string][]runtime.Problem
	steps    map[string]runtime.Teardown
	// synced are the numbers of synchronizations of credentials, by namespace.
	synced map[string]int
	// drains are called instead of draining workers, by namespace.
	drains map[string]func(worker string, timeout time.Duration) error
}

// drain makes a worker leave, whose host is its namespace.
func (c *cluster) drain(_ context.Context, worker *commonv1.RingMember, _ *mtls.Identity, timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drains[worker.GetHost()](worker.GetName(), timeout)
}

func (c *cluster) credentials(_ context.Context, owner *v1alpha1.JindoRuntime, _ *plan.Plan) ([]runtime.Problem, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced[owner.Namespace]++
	return c.problems[owner.Namespace], nil
}

func (c *cluster) teardown(_ context.Context, rt *v1alpha1.JindoRuntime) (runtime.Teardown, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	step, ok := c.steps[rt.Namespace]
	if !ok {
		return runtime.Teardown{Done: true}, nil
	}
	return step, nil
}

// shared is shared by the tests of the package, which use separate namespaces.
var shared = apiserver.Share(startCluster)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	os.Exit(shared.Run(m))
}

func start(t *testing.T) *cluster {
	t.Helper()
	return shared.Get(t)
}

func startCluster(ends *apiserver.Ends) (*cluster, error) {
	config, err := ends.Start(&envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "..", "manifests", "crd")},
		ErrorIfCRDPathMissing: true,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ends.Add(func() error { cancel(); return nil })
	c := &cluster{
		config: config, masters: newFakeMasters(), problems: map[string][]runtime.Problem{}, steps: map[string]runtime.Teardown{}, synced: map[string]int{},
		drains: map[string]func(string, time.Duration) error{},
		counts: counts{writes: map[string]int{}, passes: map[string]int{}, manual: map[string]bool{}},
	}
	mgr, err := manager.NewManager(config, "test", manager.Options{Namespace: system})
	if err != nil {
		return nil, err
	}
	r := &runtime.Reconciler{
		Client: c.counts.watched(withoutWatch{mgr.GetClient()}), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("test"),
		SystemNamespace: system, Image: image, Dial: c.masters.dial, Drain: c.drain, Credentials: c.credentials, Teardown: c.teardown,
	}
	if err := r.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	ends.Add(func() error { cancel(); return <-done })
	c.Client, err = client.New(config, client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return nil, err
	}
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}}); err != nil {
		return nil, err
	}
	for i := range 3 {
		if err := c.addNode(ctx, fmt.Sprintf("node%d", i)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) addNode(ctx context.Context, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	if err := c.Create(ctx, node); err != nil {
		return err
	}
	node.Spec.Taints = nil
	if err := c.Update(ctx, node); err != nil {
		return err
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return c.Status().Update(ctx, node)
}

// namespace creates a namespace for a test.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// create creates the objects of manifests in a namespace.
func (c *cluster) create(t *testing.T, namespace, manifests string) {
	t.Helper()
	objects, err := v1alpha1.Decode([]byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		object, ok := o.(client.Object)
		if !ok {
			t.Fatalf("%T is not a client.Object", o)
		}
		object.SetNamespace(namespace)
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually waits until check returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (c *cluster) runtime(ctx context.Context, namespace, name string) (*v1alpha1.JindoRuntime, error) {
	r := &v1alpha1.JindoRuntime{}
	return r, c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, r)
}

// status waits until check accepts a runtime's status.
func (c *cluster) status(t *testing.T, namespace, name string, check func(s *v1alpha1.RuntimeStatus) error) *v1alpha1.JindoRuntime {
	t.Helper()
	var latest *v1alpha1.JindoRuntime
	eventually(t, func() error {
		var err error
		if latest, err = c.runtime(t.Context(), namespace, name); err != nil {
			return err
		}
		return check(&latest.Status)
	})
	return latest
}

func condition(s *v1alpha1.RuntimeStatus, kind v1alpha1.RuntimeConditionType) v1alpha1.RuntimeCondition {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return v1alpha1.RuntimeCondition{}
}

// checkCondition checks a condition's status and a part of its message.
func checkCondition(s *v1alpha1.RuntimeStatus, kind v1alpha1.RuntimeConditionType, status corev1.ConditionStatus, part string) error {
	got := condition(s, kind)
	if got.Status != status || !contains(got.Message, part) {
		return fmt.Errorf("condition %s is %q (%s: %s), want %q with message %q", kind, got.Status, got.Reason, got.Message, status, part)
	}
	return nil
}

// run creates the pods of a StatefulSet and sets the number of ready ones, as
// Kubernetes does. It removes pods that are being deleted.
func (c *cluster) run(t *testing.T, namespace, name string, role plan.Role, ready int32) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	c.mustGet(t, namespace, names.Component(name, string(role)), set)
	for i := range int(*set.Spec.Replicas) {
		pod := podOf(set, &set.Spec.Template, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
		pod.Name, pod.Spec.NodeName = fmt.Sprintf("%s-%d", set.Name, i), fmt.Sprintf("node%d", i)
		c.runPod(t, pod, int32(i) < ready)
	}
	set.Status.ObservedGeneration, set.Status.UpdateRevision, set.Status.CurrentRevision = set.Generation, "r1", "r1"
	set.Status.Replicas, set.Status.ReadyReplicas, set.Status.AvailableReplicas = *set.Spec.Replicas, ready, ready
	if err := c.Status().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) runFuse(t *testing.T, namespace, name string, ready int32) {
	t.Helper()
	set := &appsv1.DaemonSet{}
	c.mustGet(t, namespace, names.Component(name, "fuse"), set)
	for i := range 3 {
		pod := podOf(set, &set.Spec.Template, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
		pod.Name, pod.Spec.NodeName = fmt.Sprintf("%s-x%d", set.Name, i), fmt.Sprintf("node%d", i)
		c.runPod(t, pod, int32(i) < ready)
	}
	set.Status = appsv1.DaemonSetStatus{
		ObservedGeneration: set.Generation, DesiredNumberScheduled: 3, CurrentNumberScheduled: 3,
		UpdatedNumberScheduled: 3, NumberReady: ready, NumberAvailable: ready, NumberUnavailable: 3 - ready,
	}
	if err := c.Status().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
}

// podOf returns a pod of a workload's template.
func podOf(set client.Object, template *corev1.PodTemplateSpec, kind schema.GroupVersionKind) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.GetNamespace(), Labels: maps.Clone(template.Labels), Annotations: maps.Clone(template.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, kind)},
		},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{{Name: "c", Image: template.Spec.Containers[0].Image}},
			TerminationGracePeriodSeconds: template.Spec.TerminationGracePeriodSeconds,
		},
	}
}

// runPod creates a pod unless it exists and is not being deleted, and sets its status.
func (c *cluster) runPod(t *testing.T, pod *corev1.Pod, ready bool) {
	t.Helper()
	existing := &corev1.Pod{}
	err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), existing)
	if err == nil && existing.DeletionTimestamp != nil {
		if err := c.Delete(t.Context(), existing, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Create(t.Context(), pod.DeepCopy()); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	eventually(t, func() error {
		c.mustGet(t, pod.Namespace, pod.Name, existing)
		existing.Status.Phase, existing.Status.PodIP = corev1.PodRunning, "10.0.0.1"
		existing.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
		existing.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
		return c.Status().Update(t.Context(), existing)
	})
}

func (c *cluster) mustGet(t *testing.T, namespace, name string, object client.Object) {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until an object exists.
func (c *cluster) waitFor(t *testing.T, namespace, name string, object client.Object) {
	t.Helper()
	eventually(t, func() error {
		return c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	})
}

// events returns the messages of the events with a reason.
func (c *cluster) events(t *testing.T, namespace, reason string) []string {
	t.Helper()
	list := &corev1.EventList{}
	if err := c.List(t.Context(), list, client.InNamespace(namespace)); err != nil && !meta.IsNoMatchError(err) {
		t.Fatal(err)
	}
	var notes []string
	for _, e := range list.Items {
		if e.Reason == reason {
			notes = append(notes, e.Message)
		}
	}
	return notes
}
