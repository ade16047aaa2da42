package runtime_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// startManual creates the seed's pair with a controller of the test's own, and runs it
// until it is ready.
func (c *cluster) startManual(t *testing.T) string {
	t.Helper()
	ns := c.namespace(t)
	c.counts.setManual(ns)
	c.create(t, ns, manifest(t, "seed.yaml"))
	l := c.live(t, math.MaxInt, func(client.Object) {})
	for range 3 {
		l.pass(t, ns, "hadoop")
	}
	c.startAll(t, ns, "hadoop")
	for range 3 {
		l.pass(t, ns, "hadoop")
	}
	c.report(ns, 1<<30, 10, 4<<30, "")
	l.pass(t, ns, "hadoop")
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Transition != nil || s.Effective.Revision != 1 {
			return fmt.Errorf("transition %+v at revision %d", s.Transition, s.Effective.Revision)
		}
		return wantPhases("Ready/Ready/Ready")(s)
	})
	return ns
}

// kubernetes does what Kubernetes does when pods were deleted.
func (c *cluster) kubernetes(t *testing.T, ns string) {
	t.Helper()
	c.run(t, ns, "hadoop", plan.RoleMaster, 3)
	c.run(t, ns, "hadoop", plan.RoleWorker, 3)
	c.runFuse(t, ns, "hadoop", 3)
}

// checkDeletion fails if a pod is deleted while another one of its role is not ready, or
// while it leads.
func (c *cluster) checkDeletion(t *testing.T, ns string) func(pod client.Object) {
	return func(pod client.Object) {
		t.Helper()
		c.masters.change(ns, func(s *fakeSet) {
			if s.leader == pod.GetName() {
				t.Errorf("the leader %s is deleted", pod.GetName())
			}
		})
		for _, other := range c.pods(t, ns) {
			if other.Labels[names.LabelRole] == pod.GetLabels()[names.LabelRole] && other.Name != pod.GetName() && (!health.PodReady(&other) || other.DeletionTimestamp != nil) {
				t.Errorf("%s is deleted while %s is not ready", pod.GetName(), other.Name)
			}
		}
	}
}

func (c *cluster) pods(t *testing.T, ns string) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := c.List(t.Context(), list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// images returns the number of pods by image.
func (c *cluster) images(t *testing.T, ns string) map[string]int {
	t.Helper()
	images := map[string]int{}
	for _, pod := range c.pods(t, ns) {
		images[pod.Spec.Containers[0].Image]++
	}
	return images
}

// settled reports whether every pod runs with the newest effective spec.
func (c *cluster) settled(t *testing.T, ns string) bool {
	t.Helper()
	r, err := c.runtime(t.Context(), ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	s := &r.Status
	return s.Transition == nil && s.ObservedGeneration == r.Generation && condition(s, v1alpha1.RuntimeUpdating).Status == "" && condition(s, v1alpha1.RuntimeReady).Status == corev1.ConditionTrue
}

const newImage = "docker.io/jindo-io/jindo:v2"

func setImage(tag string) func(r *v1alpha1.JindoRuntime) {
	return func(r *v1alpha1.JindoRuntime) { r.Spec.JindoVersion.ImageTag, r.Spec.Fuse.ImageTag = tag, tag }
}

// TestImageRollsOutOverRestarts: an image is edited, and the controller is stopped after
// every single step: after every write of the status, every deletion of a pod and every
// transfer of leadership. A new process, which remembers nothing, continues each time.
func TestImageRollsOutOverRestarts(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startManual(t)
	c.change(t, ns, "hadoop", setImage("v2"))
	var shown []string
	lives := 0
	for ; ; lives++ {
		if lives > 200 {
			t.Fatalf("not settled after %d processes: %v", lives, shown)
		}
		l := c.live(t, 1, c.checkDeletion(t, ns))
		for range 3 {
			if l.pass(t, ns, "hadoop") {
				break
			}
		}
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			t.Fatal(err)
		}
		if message := condition(&r.Status, v1alpha1.RuntimeUpdating).Message; message != "" && (len(shown) == 0 || shown[len(shown)-1] != message) {
			shown = append(shown, message)
		}
		if c.settled(t, ns) && l.steps == 0 {
			break
		}
		if lives%2 == 1 { // Kubernetes is slower than the controller
			c.kubernetes(t, ns)
		}
	}
	if got := c.images(t, ns); len(got) != 1 || got[newImage] != 9 {
		t.Errorf("pods by image: %v", got)
	}
	for _, part := range []string{
		"step 1 of 9: replace hadoop-jindofs-master-0", "step 2 of 9: replace hadoop-jindofs-master-2",
		"step 4 of 9: replace hadoop-jindofs-worker-0", "step 9 of 9: replace the FUSE server on node2",
		" to end",
	} {
		if !slices.ContainsFunc(shown, func(m string) bool { return strings.Contains(m, part) }) {
			t.Errorf("the condition never showed %q, but\n%s", part, strings.Join(shown, "\n"))
		}
	}
	c.masters.change(ns, func(s *fakeSet) {
		if s.leader == "hadoop-jindofs-master-1" || s.term != 4 {
			t.Errorf("%s leads in term %d; leadership did not move once", s.leader, s.term)
		}
	})
	t.Logf("%d processes", lives)
}

// TestRolloutIsReplanned: the image does not exist. One pod of a role is lost to it, the
// others serve on, and another edit replaces it without waiting for it.
func TestRolloutIsReplanned(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startManual(t)
	c.change(t, ns, "hadoop", setImage("missing"))
	l := c.live(t, math.MaxInt, c.checkDeletion(t, ns))
	deleted := func() (names []string) {
		for _, pod := range c.pods(t, ns) {
			if pod.DeletionTimestamp != nil {
				names = append(names, pod.Name)
			}
		}
		return names
	}
	for range 5 {
		l.pass(t, ns, "hadoop")
		c.observeSets(t, ns)
	}
	if got := deleted(); !slices.Equal(got, []string{"hadoop-jindofs-master-0"}) {
		t.Fatalf("deleted %v", got)
	}
	c.runBroken(t, ns, "hadoop-jindofs-master-0")
	for range 5 {
		l.pass(t, ns, "hadoop")
	}
	r := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeUpdating, corev1.ConditionTrue, "step 1 of 9: replace hadoop-jindofs-master-0; waiting for hadoop-jindofs-master-0 to become ready")
	})
	if got := deleted(); len(got) > 0 || len(r.Status.Transition.Steps) != 9 {
		t.Errorf("deleted %v; %+v", got, r.Status.Transition)
	}
	c.change(t, ns, "hadoop", setImage("v2"))
	for i := 0; !c.settled(t, ns) || i < 3; i++ {
		if i > 100 {
			t.Fatal("not settled")
		}
		l.pass(t, ns, "hadoop")
		c.kubernetes(t, ns)
	}
	if got := c.images(t, ns); len(got) != 1 || got[newImage] != 9 {
		t.Errorf("pods by image: %v", got)
	}
	if r, err := c.runtime(t.Context(), ns, "hadoop"); err != nil || r.Status.Effective.Revision != 3 {
		t.Errorf("revision %d, error %v", r.Status.Effective.Revision, err)
	}
}

// TestUpdatesArePaused: the annotation stops the steps and does not undo any.
func TestUpdatesArePaused(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startManual(t)
	l := c.live(t, math.MaxInt, c.checkDeletion(t, ns))
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		setImage("v2")(r)
		r.Annotations[v1alpha1.UpdatesAnnotation] = v1alpha1.UpdatesPaused
	})
	for range 5 {
		l.pass(t, ns, "hadoop")
		c.kubernetes(t, ns)
	}
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeUpdating, corev1.ConditionTrue, "step 1 of 9: replace hadoop-jindofs-master-0; paused")
	})
	if got := c.images(t, ns); got[image] != 9 {
		t.Errorf("pods by image: %v", got)
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { delete(r.Annotations, v1alpha1.UpdatesAnnotation) })
	for range 5 {
		l.pass(t, ns, "hadoop")
		c.kubernetes(t, ns)
	}
	if got := c.images(t, ns); got[newImage] == 0 {
		t.Errorf("pods by image: %v", got)
	}
}

// observeSets records that Kubernetes has observed the templates.
func (c *cluster) observeSets(t *testing.T, ns string) {
	t.Helper()
	for _, role := range []string{"master", "worker"} {
		set := &appsv1.StatefulSet{}
		c.mustGet(t, ns, names.Component("hadoop", role), set)
		set.Status.ObservedGeneration = set.Generation
		if err := c.Status().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
}

// runBroken replaces a pod that is being deleted by one whose image does not exist.
func (c *cluster) runBroken(t *testing.T, ns, name string) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	c.mustGet(t, ns, names.Component("hadoop", "master"), set)
	pod := podOf(set, &set.Spec.Template, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	pod.Name, pod.Spec.NodeName = name, "node0"
	c.runPod(t, pod, false)
	c.mustGet(t, ns, name, pod)
	pod.Status.Phase = corev1.PodPending
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}
