package teardown_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
)

func TestEverythingIsRemoved(t *testing.T) {
	// Foreign objects, with the names of the runtime's objects or other names.
	foreign := []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "hadoop-jindofs-master"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"}},
		&corev1.Service{ObjectMeta: meta(namespace, "hadoop2-jindofs-worker", nil)},
	}
	s := newTestbed(t, slices.Concat(allObjects(), foreign, []client.Object{
		node("node-1", names.ScopeOf(namespace, "hadoop", "").CacheNodeLabel(), names.ScopeOf(namespace, "hadoop", "").FuseNodeLabel(), names.ScopeOf(namespace, "hive", "").CacheNodeLabel()),
	})...)
	if result := s.run(); !result.Done {
		t.Fatalf("result %+v", result)
	}
	for _, o := range allObjects() {
		if s.exists(o) {
			t.Errorf("%T %s still exists", o, o.GetName())
		}
	}
	for _, o := range foreign {
		if !s.exists(o) {
			t.Errorf("foreign %T %s was removed", o, o.GetName())
		}
	}
	n := node("node-1")
	if s.exists(n); len(n.Labels) != 2 || n.Labels["keep"] != "x" || n.Labels[names.ScopeOf(namespace, "hive", "").CacheNodeLabel()] != "true" {
		t.Errorf("node labels: %v", n.Labels)
	}
	if events := s.recordedEvents(); events != "" {
		t.Errorf("events: %s", events)
	}
	if result := s.run(); !result.Done {
		t.Errorf("second run: %+v", result)
	}
}

func TestForeignSecretOfTheSameName(t *testing.T) {
	mine := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop-jindofs-credentials"}}
	s := newTestbed(t, mine)
	if result := s.run(); !result.Done || !s.exists(mine) {
		t.Errorf("%+v, foreign Secret exists: %v", result, s.exists(mine))
	}
}

// TestMountingPodsBlock: while pods mount a claim, nothing is removed.
func TestMountingPodsBlock(t *testing.T) {
	s := newTestbed(t, append(allObjects(), reader("a"), reader("b"))...)
	result := s.step()
	if result.Done || !strings.Contains(result.Blocked, "pods a and b mount PersistentVolumeClaim hbase") {
		t.Errorf("got %+v", result)
	}
	for _, o := range allObjects() {
		if !s.exists(o) || o.GetDeletionTimestamp() != nil {
			t.Errorf("%T %s was removed", o, o.GetName())
		}
	}
	s.must(s.c.Delete(t.Context(), reader("a")))
	s.must(s.c.Delete(t.Context(), reader("b")))
	if result := s.run(); !result.Done {
		t.Errorf("result %+v", result)
	}
}

// TestPodsTerminateFirst: other objects are removed after the runtime's pods, except
// for a pod on an unreachable node.
func TestPodsTerminateFirst(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: meta(namespace, "hadoop-jindofs-worker-0", names.Labels("hadoop", "worker")), Spec: corev1.PodSpec{NodeName: "node-2"}}
	pod.Finalizers = []string{"test/kubelet"}
	yes := true
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "hadoop-jindofs-worker", UID: "s", Controller: &yes}}
	s := newTestbed(t, append(allObjects(), pod)...)
	result := s.run()
	if result.Done || !strings.Contains(result.Waiting, "pods hadoop-jindofs-worker-0 are terminating") {
		t.Fatalf("got %+v", result)
	}
	if !s.exists(&corev1.Secret{ObjectMeta: meta(namespace, "hadoop-jindofs-worker", nil)}) || s.exists(&appsv1.StatefulSet{ObjectMeta: meta(namespace, "hadoop-jindofs-worker", nil)}) {
		t.Error("objects were removed in the wrong order")
	}
	stuck := newTestbed(t, append(allObjects(), terminating(pod, time.Hour))...)
	if result := stuck.run(); !result.Done {
		t.Errorf("not done: %+v", result)
	}
	if events := stuck.recordedEvents(); !strings.Contains(events, "node node-2 may be unreachable") {
		t.Errorf("events: %s", events)
	}
}

// Pods of users with the labels of a runtime's pods do not delay its deletion, and are
// not removed.
func TestPodsOfOthersKeepNoRuntime(t *testing.T) {
	yes := true
	pods := []client.Object{
		&corev1.Pod{ObjectMeta: meta(namespace, "ownerless", names.Labels("hadoop", "worker"))},
		&corev1.Pod{ObjectMeta: meta(namespace, "of-a-job", names.Labels("hadoop", "worker"))},
		&corev1.Pod{ObjectMeta: meta(namespace, "of-another-set", names.Labels("hadoop", "worker"))},
	}
	pods[1].SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "hadoop-jindofs-worker", UID: "j", Controller: &yes}})
	pods[2].SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "mine", UID: "m", Controller: &yes}})
	s := newTestbed(t, append(allObjects(), pods...)...)
	if result := s.run(); !result.Done {
		t.Errorf("not done: %+v", result)
	}
	for _, pod := range pods {
		if !s.exists(pod) {
			t.Errorf("pod %s was removed", pod.GetName())
		}
	}
}

// terminating returns a pod whose grace period ended some time ago.
func terminating(pod *corev1.Pod, ago time.Duration) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-ago)}
	return pod
}

// TestControllerRestartsAtEachStep: a teardown that was interrupted at any request
// is completed by the next controller.
func TestControllerRestartsAtEachStep(t *testing.T) {
	for steps := range 25 {
		s := newTestbed(t, append(allObjects(), node("node-1", names.ScopeOf(namespace, "hadoop", "").CacheNodeLabel()), node("node-2"))...)
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
		result := s.run()
		for range 3 {
			if result.Done {
				break
			}
			for _, pod := range s.cleaners() {
				s.terminate(pod, corev1.PodSucceeded, "")
			}
			result = s.run()
		}
		if !result.Done {
			t.Errorf("after %d steps: %+v", steps, result)
		}
		for _, o := range allObjects() {
			if s.exists(o) {
				t.Errorf("after %d steps: %T %s still exists", steps, o, o.GetName())
			}
		}
	}
}
