package runtime_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// failing is a runtime whose pods with a template other than the first ones fail, and the
// processes of its controller.
type failing struct {
	*cluster
	ns string
	// good are the digests of the first templates, and the bad ones are of pods that fail
	// with status, except for those of the instances that work; a status of nil is that of
	// pods that are not created at all.
	good    map[string]bool
	works   map[string]bool
	status  *corev1.PodStatus
	now     time.Time
	deleted []string
	// reverted are the events about reverted updates.
	reverted int
	image    string
	// steps is after how many steps each process is stopped.
	steps int
}

func (c *cluster) startFailing(t *testing.T, status *corev1.PodStatus) *failing {
	t.Helper()
	f := &failing{cluster: c, ns: c.startManual(t), good: map[string]bool{}, status: status, now: time.Now(), image: image, steps: math.MaxInt}
	f.accept(t)
	return f
}

// accept makes the templates of the pods that exist good ones.
func (f *failing) accept(t *testing.T) {
	for _, pod := range f.pods(t, f.ns) {
		f.good[digestOf(&pod)] = true
	}
}

func digestOf(pod *corev1.Pod) string { return pod.Annotations[names.AnnotationTemplate] }

// fail does what Kubernetes does, except that pods with bad templates fail.
func (f *failing) fail(t *testing.T) {
	t.Helper()
	f.kubernetes(t, f.ns)
	for _, pod := range f.pods(t, f.ns) {
		switch {
		case f.good[digestOf(&pod)] || f.works[f.instance(&pod)]:
		case f.status == nil:
			if err := f.Delete(t.Context(), &pod, client.GracePeriodSeconds(0)); err != nil {
				t.Fatal(err)
			}
		default:
			pod.Status = *f.status.DeepCopy()
			if err := f.Status().Update(t.Context(), &pod); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// live runs one process of the controller, which is stopped after a number of steps.
func (f *failing) live(t *testing.T, steps int) *v1alpha1.RuntimeStatus {
	t.Helper()
	away := f.checkDeletion(t, f.ns)
	l := f.cluster.live(t, steps, func(pod client.Object) {
		f.deleted = append(f.deleted, f.instance(pod))
		away(pod)
	})
	l.Image, l.Now = f.image, func() time.Time { return f.now }
	recorder := events.NewFakeRecorder(1000)
	l.Recorder = recorder
	l.Complete()
	for range 3 {
		if l.pass(t, f.ns, "hadoop") {
			break
		}
	}
	close(recorder.Events)
	for event := range recorder.Events {
		if strings.Contains(event, string(v1alpha1.RuntimeRolloutReverted)) {
			f.reverted++
		}
	}
	r, err := f.runtime(t.Context(), f.ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	return &r.Status
}

func (f *failing) instance(pod client.Object) string {
	if pod.GetLabels()[names.LabelRole] == "jindofs-fuse" {
		return pod.(*corev1.Pod).Spec.NodeName
	}
	return pod.GetName()
}

// until runs processes until a status is reached. Kubernetes acts after every second one,
// and time passes.
func (f *failing) until(t *testing.T, what string, reached func(s *v1alpha1.RuntimeStatus) bool) *v1alpha1.RuntimeStatus {
	t.Helper()
	for i := range 300 {
		s := f.live(t, f.steps)
		if reached(s) {
			return s
		}
		if i%2 == 1 || f.steps > 1 {
			f.fail(t)
			f.now = f.now.Add(45 * time.Second)
		}
	}
	t.Fatalf("never %s; deleted %v", what, f.deleted)
	return nil
}

func (f *failing) untilReverted(t *testing.T) *v1alpha1.RuntimeStatus {
	t.Helper()
	return f.until(t, "reverted", func(s *v1alpha1.RuntimeStatus) bool {
		if s.Reverted == nil || s.Transition != nil {
			return false
		}
		pods := f.pods(t, f.ns)
		for _, pod := range pods {
			if !f.good[digestOf(&pod)] || !health.PodReady(&pod) || pod.DeletionTimestamp != nil {
				return false
			}
		}
		return len(pods) == 9
	})
}

// stays fails if more processes change anything.
func (f *failing) stays(t *testing.T) {
	t.Helper()
	before := len(f.deleted)
	for range 2 {
		f.now = f.now.Add(time.Hour)
		s := f.live(t, math.MaxInt)
		f.fail(t)
		if s.Transition != nil || s.Reverted == nil {
			t.Errorf("transition %+v, reverted %+v", s.Transition, s.Reverted)
		}
	}
	if len(f.deleted) != before {
		t.Errorf("more pods are deleted: %v", f.deleted[before:])
	}
}

func setEnv(role, value string) func(r *v1alpha1.JindoRuntime) {
	env := map[string]string{"ATTEMPT": value}
	return func(r *v1alpha1.JindoRuntime) {
		switch role {
		case "master":
			r.Spec.Master.Env = env
		case "worker":
			r.Spec.Worker.Env = env
		case "fuse":
			r.Spec.Fuse.Env = env
		}
	}
}

func waitingStatus(reason string, restarts int32) *corev1.PodStatus {
	return &corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "c", RestartCount: restarts, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "the cause"}},
	}}}
}

// TestFirstPodFails: the first pod of a component with a new template does not become
// ready. It comes back with the previous template, no other pod is replaced, and the
// update is not attempted again before the user requests it or edits the spec.
func TestFirstPodFails(t *testing.T) {
	t.Parallel()
	unready := &corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	for _, test := range []struct {
		name, role, instance string
		status               *corev1.PodStatus
		message              string
		// steps is after how many steps each process is stopped until the update was
		// reverted.
		steps int
	}{
		{"image", "master", "hadoop-jindofs-master-0", waitingStatus("ImagePullBackOff", 0), "hadoop-jindofs-master-0 did not become ready with the template of revision 2: container c: ImagePullBackOff: the cause; masters have the previous templates", 1},
		{"crash", "worker", "hadoop-jindofs-worker-0", waitingStatus("CrashLoopBackOff", 3), "container c: CrashLoopBackOff: the cause; workers have", 1},
		{"name of an image", "fuse", "node0", waitingStatus("InvalidImageName", 0), "the FUSE server on node0 did not become ready with the template of revision 2: container c: InvalidImageName: the cause; FUSE servers have", 1},
		{"checks of a worker", "worker", "hadoop-jindofs-worker-0", unready, "it runs and is not ready, after 5m0s", math.MaxInt},
		{"checks of a FUSE server", "fuse", "node0", unready, "it runs and is not ready, after 2m0s", math.MaxInt},
		{"no pod", "master", "hadoop-jindofs-master-0", nil, "its pod was not created within 5m0s", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t).startFailing(t, test.status)
			f.steps = test.steps
			f.change(t, f.ns, "hadoop", setEnv(test.role, "1"))
			s := f.untilReverted(t)
			if want := []string{test.instance, test.instance}; test.status != nil && fmt.Sprint(f.deleted) != fmt.Sprint(want) || len(f.deleted) == 0 || f.deleted[0] != test.instance {
				t.Errorf("deleted %v", f.deleted)
			}
			if err := checkCondition(s, v1alpha1.RuntimeRolloutReverted, corev1.ConditionTrue, test.message); err != nil {
				t.Error(err)
			}
			if f.reverted != 1 {
				t.Errorf("%d events", f.reverted)
			}
			f.stays(t)

			f.steps = math.MaxInt
			f.change(t, f.ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Annotations[v1alpha1.RetryAnnotation] = "again" })
			f.deleted = nil
			f.until(t, "attempted again", func(*v1alpha1.RuntimeStatus) bool { return len(f.deleted) > 0 })
			f.untilReverted(t)
			f.stays(t)
			if f.reverted != 2 {
				t.Errorf("%d events after another attempt", f.reverted)
			}

			f.status = &corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
			f.change(t, f.ns, "hadoop", setEnv(test.role, "2"))
			f.until(t, "settled", func(s *v1alpha1.RuntimeStatus) bool {
				return s.Effective.Revision == 3 && s.Reverted == nil && len(s.Fallbacks) == 0 && f.settled(t, f.ns)
			})
			changed := 0
			for _, pod := range f.pods(t, f.ns) {
				if !f.good[digestOf(&pod)] {
					changed++
				}
			}
			if changed != 3 {
				t.Errorf("%d pods have the corrected template", changed)
			}
		})
	}
}

// TestImageFailsForAll: an image of masters, workers and FUSE servers does not exist. Only
// one master is lost to it, and the workloads of all have their previous templates again,
// so that a pod that is lost for another reason comes back.
func TestImageFailsForAll(t *testing.T) {
	t.Parallel()
	f := start(t).startFailing(t, waitingStatus("ErrImagePull", 0))
	f.change(t, f.ns, "hadoop", setImage("missing"))
	s := f.untilReverted(t)
	if fmt.Sprint(f.deleted) != "[hadoop-jindofs-master-0 hadoop-jindofs-master-0]" {
		t.Errorf("deleted %v", f.deleted)
	}
	if err := checkCondition(s, v1alpha1.RuntimeRolloutReverted, corev1.ConditionTrue, "masters, workers and FUSE servers have the previous templates"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"hadoop-jindofs-worker-2", "hadoop-jindofs-fuse-x1"} {
		pod := &corev1.Pod{}
		f.mustGet(t, f.ns, name, pod)
		if err := f.Delete(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	f.fail(t)
	f.stays(t)
	if got := f.images(t, f.ns); got[image] != 9 {
		t.Errorf("pods by image: %v", got)
	}
	// The previous spec replaces no pod.
	f.deleted = nil
	f.change(t, f.ns, "hadoop", setImage(""))
	f.until(t, "settled", func(s *v1alpha1.RuntimeStatus) bool {
		return s.Effective.Revision == 3 && s.Reverted == nil && len(s.Fallbacks) == 0 && f.settled(t, f.ns)
	})
	if len(f.deleted) > 0 {
		t.Errorf("deleted %v", f.deleted)
	}
}

// TestUpgradeFails: the pods of an upgrade of the controllers do not become ready. The
// template of the previous version returns exactly, although the new one renders others.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	f := start(t).startFailing(t, waitingStatus("CrashLoopBackOff", 5))
	f.change(t, f.ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Annotations[v1alpha1.UpdatesAnnotation] = v1alpha1.UpdatesAutomatic })
	f.image = newImage
	f.untilReverted(t)
	if fmt.Sprint(f.deleted) != "[hadoop-jindofs-master-0 hadoop-jindofs-master-0]" || f.reverted != 1 {
		t.Errorf("deleted %v, %d events", f.deleted, f.reverted)
	}
	f.stays(t)
}

// TestRevertedWhilePaused: a pause replaces no pod, except the failed one.
func TestRevertedWhilePaused(t *testing.T) {
	t.Parallel()
	f := start(t).startFailing(t, waitingStatus("CrashLoopBackOff", 5))
	f.change(t, f.ns, "hadoop", setEnv("worker", "1"))
	f.until(t, "replaced", func(*v1alpha1.RuntimeStatus) bool { return len(f.deleted) > 0 })
	f.change(t, f.ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Annotations[v1alpha1.UpdatesAnnotation] = v1alpha1.UpdatesPaused })
	f.untilReverted(t)
	f.stays(t)
	if len(f.deleted) != 2 {
		t.Errorf("deleted %v", f.deleted)
	}
}

// TestLaterPodFails: the first pod with a new template became ready, a later one does not.
// It comes back with the previous template at once, and then the first one, while all
// others serve.
func TestLaterPodFails(t *testing.T) {
	t.Parallel()
	unready := &corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	for _, test := range []struct {
		name, role, first, later string
		status                   *corev1.PodStatus
		message                  string
		// steps is after how many steps each process is stopped.
		steps int
	}{
		{"crash", "worker", "hadoop-jindofs-worker-0", "hadoop-jindofs-worker-1", waitingStatus("CrashLoopBackOff", 3), "hadoop-jindofs-worker-1 did not become ready with the template of revision 2: container c: CrashLoopBackOff: the cause; workers have the previous templates", 1},
		{"checks of a worker", "worker", "hadoop-jindofs-worker-0", "hadoop-jindofs-worker-1", unready, "it runs and is not ready, after 5m0s", math.MaxInt},
		{"image", "master", "hadoop-jindofs-master-0", "hadoop-jindofs-master-2", waitingStatus("ImagePullBackOff", 0), "container c: ImagePullBackOff: the cause; masters have", 1},
		{"checks of a master", "master", "hadoop-jindofs-master-0", "hadoop-jindofs-master-2", unready, "it runs and is not ready, after 5m0s", math.MaxInt},
		{"name of an image", "fuse", "node0", "node1", waitingStatus("InvalidImageName", 0), "the FUSE server on node1 did not become ready with the template of revision 2: container c: InvalidImageName: the cause; FUSE servers have", 1},
		{"no pod", "worker", "hadoop-jindofs-worker-0", "hadoop-jindofs-worker-1", nil, "its pod was not created within 5m0s", math.MaxInt},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t).startFailing(t, test.status)
			f.steps, f.works = test.steps, map[string]bool{test.first: true}
			f.change(t, f.ns, "hadoop", setEnv(test.role, "1"))
			s := f.untilReverted(t)
			want := []string{test.first, test.later, test.later, test.first}
			if test.status == nil { // the pod that was not created is not deleted
				want = slices.Delete(want, 2, 3)
			}
			if fmt.Sprint(f.deleted) != fmt.Sprint(want) {
				t.Errorf("deleted %v, want %v", f.deleted, want)
			}
			if err := checkCondition(s, v1alpha1.RuntimeRolloutReverted, corev1.ConditionTrue, test.message); err != nil {
				t.Error(err)
			}
			if reason := condition(s, v1alpha1.RuntimeRolloutReverted).Reason; reason != health.ReasonLaterPodFailed || f.reverted != 1 {
				t.Errorf("reason %s, %d events", reason, f.reverted)
			}
			f.stays(t)

			f.steps, f.deleted = math.MaxInt, nil
			f.change(t, f.ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Annotations[v1alpha1.RetryAnnotation] = "again" })
			for _, pod := range f.pods(t, f.ns) {
				f.works[f.instance(&pod)] = true
			}
			f.until(t, "settled", func(s *v1alpha1.RuntimeStatus) bool {
				return s.Reverted == nil && len(s.Fallbacks) == 0 && f.settled(t, f.ns)
			})
			if len(f.deleted) != 3 {
				t.Errorf("deleted %v after another attempt", f.deleted)
			}
		})
	}
}

// TestEarlierPodIsLostLater: a pod that was ready with the new template and fails while
// another one is replaced reverts nothing.
func TestEarlierPodIsLostLater(t *testing.T) {
	t.Parallel()
	f := start(t).startFailing(t, waitingStatus("CrashLoopBackOff", 9))
	f.works = map[string]bool{"hadoop-jindofs-worker-0": true, "hadoop-jindofs-worker-1": true, "hadoop-jindofs-worker-2": true}
	f.change(t, f.ns, "hadoop", setEnv("worker", "1"))
	f.until(t, "the second worker is replaced", func(*v1alpha1.RuntimeStatus) bool { return len(f.deleted) == 2 })
	for range 5 {
		f.kubernetes(t, f.ns)
		f.breakPod(t, "hadoop-jindofs-worker-0")
		f.now = f.now.Add(time.Hour)
		s := f.live(t, math.MaxInt)
		if s.Reverted != nil || len(s.Fallbacks) == 0 || condition(s, v1alpha1.RuntimeRolloutReverted).Status != "" {
			t.Fatalf("reverted %+v with %d fallbacks", s.Reverted, len(s.Fallbacks))
		}
	}
	if fmt.Sprint(f.deleted) != "[hadoop-jindofs-worker-0 hadoop-jindofs-worker-1]" {
		t.Errorf("deleted %v", f.deleted)
	}
	f.until(t, "settled", func(s *v1alpha1.RuntimeStatus) bool { return len(s.Fallbacks) == 0 && f.settled(t, f.ns) })
}

func (f *failing) breakPod(t *testing.T, name string) {
	t.Helper()
	pod := &corev1.Pod{}
	f.mustGet(t, f.ns, name, pod)
	pod.Status = *f.status.DeepCopy()
	if err := f.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFallbackIsIgnored: a status that was restored from elsewhere neither stops the
// controller nor brings a template that is not one of the component.
func TestDamagedFallbackIsIgnored(t *testing.T) {
	t.Parallel()
	f := start(t).startFailing(t, waitingStatus("CrashLoopBackOff", 5))
	good := corev1.PodTemplateSpec{}
	good.Labels = map[string]string{"app": "other"}
	good.Annotations = map[string]string{names.AnnotationTemplate: "0"}
	good.Spec.Containers = []corev1.Container{{Name: "c", Image: "evil"}}
	for name, fallbacks := range map[string][]v1alpha1.ComponentFallback{
		"none":               nil,
		"empty":              {{Role: "worker"}},
		"of another role":    {{Role: "unknown", Template: good}},
		"of another runtime": {{Role: "worker", Template: good}},
	} {
		r, err := f.runtime(t.Context(), f.ns, "hadoop")
		if err != nil {
			t.Fatal(err)
		}
		r.Status.Fallbacks = fallbacks
		r.Status.Reverted = &v1alpha1.RevertedUpdate{Role: "worker", Instance: "x", Template: "1", Time: metav1.Now()}
		if err := f.Status().Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		s := f.live(t, math.MaxInt)
		if s.Reverted != nil || len(s.Fallbacks) > 0 {
			t.Errorf("%s: reverted %+v, fallbacks %+v", name, s.Reverted, s.Fallbacks)
		}
	}
	if got := f.images(t, f.ns); len(f.deleted) > 0 || got[image] != 9 {
		t.Errorf("deleted %v, images %v", f.deleted, got)
	}
}
