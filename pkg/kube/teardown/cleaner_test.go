package teardown_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
)

func (s *testbed) cleaners() []corev1.Pod {
	s.t.Helper()
	pods := &corev1.PodList{}
	s.must(s.c.List(s.t.Context(), pods, client.InNamespace(system)))
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Spec.NodeName+a.Name, b.Spec.NodeName+b.Name) })
	return pods.Items
}

// terminate sets the final status of a cleaner pod.
func (s *testbed) terminate(pod corev1.Pod, phase corev1.PodPhase, message string) {
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
	s := newTestbed(t, append(allObjects(), node("node-1"), node("node-2"))...)
	s.rt.Status.CacheDirectories = directories()
	result := s.run()
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
	s.terminate(pods[0], corev1.PodSucceeded, "kept default/hadoop/jindofs/x has no file")
	if result := s.run(); result.Done || !strings.Contains(result.Waiting, "from node-2") {
		t.Fatalf("got %+v", result)
	}
	s.terminate(pods[1], corev1.PodSucceeded, "")
	if result := s.run(); !result.Done {
		t.Fatalf("got %+v", result)
	}
	if left := s.cleaners(); len(left) > 0 {
		t.Errorf("cleaner pods left: %+v", left)
	}
	if events := s.recordedEvents(); !strings.Contains(events, "node node-1: kept default/hadoop/jindofs/x") || strings.Contains(events, "node-2") {
		t.Errorf("events: %s", events)
	}
}

// TestLostStatusDirectories: without status, directories are found by the workers'
// node label.
func TestLostStatusDirectories(t *testing.T) {
	s := newTestbed(t, node("node-1", names.ScopeOf(namespace, "hadoop", "").CacheNodeLabel()), node("node-2"))
	s.rt.Spec.TieredStore.Levels = []v1alpha1.Level{{MediumType: v1alpha1.MediumSSD, Path: "/mnt/disk1,/mnt/disk2", Quota: "2Gi"}, {MediumType: v1alpha1.MediumMEM, Path: "/dev/shm", Quota: "1Gi"}}
	s.run()
	pods := s.cleaners()
	if len(pods) != 1 || pods[0].Spec.NodeName != "node-1" || len(pods[0].Spec.Volumes) != 2 {
		t.Errorf("cleaners %+v", pods)
	}
}

// TestRefusedDirectoriesAreLeft: no cleaner runs in a directory that the installation
// does not allow, even if the status or the spec names it.
func TestRefusedDirectoriesAreLeft(t *testing.T) {
	const tenant = "/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~empty-dir/v"
	s := newTestbed(t, node("node-1", names.ScopeOf(namespace, "hadoop", "").CacheNodeLabel()))
	s.rt.Status.CacheDirectories = []v1alpha1.CacheDirectory{{Node: "node-1", Paths: []string{
		tenant + "/default/hadoop/jindofs/tier", "/default/hadoop", "/mnt/disk1/x/default/hadoop/jindofs/tier", "/mnt/disk9/default/hadoop/jindofs/data",
	}}}
	s.rt.Spec.TieredStore.Levels = []v1alpha1.Level{{MediumType: v1alpha1.MediumSSD, Path: tenant + ",/etc", Quota: "2Gi"}}
	if result := s.run(); !result.Done {
		t.Errorf("not done: %+v", result)
	}
	if pods := s.cleaners(); len(pods) > 0 {
		t.Errorf("cleaners %+v", pods)
	}
	events := s.recordedEvents()
	for _, part := range []string{"/mnt/disk9/default/hadoop", "node node-1", "not below an allowed directory", "/mnt/disk1,/mnt/disk2,/mnt/disk3"} {
		if !strings.Contains(events, part) {
			t.Errorf("no event contains %q: %s", part, events)
		}
	}
}

func TestFailedCleaners(t *testing.T) {
	s := newTestbed(t, node("node-1"))
	s.rt.Status.CacheDirectories = directories()[1:2]
	for try := range 3 {
		if result := s.run(); result.Done {
			t.Fatalf("try %d: %+v", try, result)
		}
		pods := s.cleaners()
		if len(pods) != try+1 {
			t.Fatalf("try %d: %d cleaners", try, len(pods))
		}
		s.terminate(pods[try], corev1.PodFailed, fmt.Sprintf("error: disk %d", try))
	}
	if result := s.run(); !result.Done {
		t.Errorf("not done after all attempts: %+v", result)
	}
	events := s.recordedEvents()
	if !strings.Contains(events, "/mnt/disk1/default/hadoop, /mnt/disk2/default/hadoop on node node-1 may still exist") || !strings.Contains(events, "disk 2") {
		t.Errorf("events: %s", events)
	}
	if left := s.cleaners(); len(left) > 0 {
		t.Errorf("cleaner pods left: %+v", left)
	}
}

func TestUnreachableNodes(t *testing.T) {
	unreachable := func(since time.Duration) *corev1.Node {
		n := node("node-1")
		n.Status.Conditions[0].Status = corev1.ConditionUnknown
		n.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Now().Add(-since))
		return n
	}
	s := newTestbed(t, unreachable(time.Hour))
	s.rt.Status.CacheDirectories = directories()[1:2]
	if result := s.run(); !result.Done {
		t.Errorf("waits for an unreachable node: %+v", result)
	}
	if events := s.recordedEvents(); !strings.Contains(events, "not been ready since") {
		t.Errorf("events: %s", events)
	}
	s = newTestbed(t, unreachable(time.Second))
	s.rt.Status.CacheDirectories = directories()[1:2]
	if result := s.run(); result.Done {
		t.Error("does not wait for a node that was ready a second ago")
	}
}

func TestRejectedCleaners(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	s := newTestbed(t, node("node-1"))
	s.createErr = apierrors.NewForbidden(pods, "x", errors.New("the namespace is being deleted"))
	s.rt.Status.CacheDirectories = directories()[1:2]
	if result := s.run(); !result.Done {
		t.Errorf("not done: %+v", result)
	}
	if events := s.recordedEvents(); !strings.Contains(events, "namespace is being deleted") {
		t.Errorf("events: %s", events)
	}
	s.createErr = apierrors.NewServiceUnavailable("unreachable")
	if _, err := teardown.Runtime(t.Context(), s.deps, s.rt); err == nil {
		t.Error("no error from an unavailable API server")
	}
}
