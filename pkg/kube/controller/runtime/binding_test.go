package runtime_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// awaitRefresh waits until the pods of every worker that lacks the credentials of the
// Dataset are annotated, and returns the revision that the workers are to report.
func (c *cluster) awaitRefresh(t *testing.T, ns string) uint64 {
	t.Helper()
	c.reportRevision(ns, 0, 0, 0) // workers that serve no mount
	var revision int64
	eventually(t, func() error {
		r, err := c.runtime(t.Context(), ns, "hadoop")
		if err != nil {
			return err
		}
		if r.Status.Effective.Dataset == nil || r.Status.Effective.Dataset.CredentialsRevision == 0 {
			return fmt.Errorf("effective %+v", r.Status.Effective.Dataset)
		}
		revision = r.Status.Effective.Dataset.CredentialsRevision
		for i := range 3 {
			pod := &corev1.Pod{}
			c.mustGet(t, ns, fmt.Sprintf("hadoop-jindofs-worker-%d", i), pod)
			if value := pod.Annotations[names.AnnotationRefreshed]; !strings.HasPrefix(value, fmt.Sprintf("revision %d ", revision)) {
				return fmt.Errorf("pod %s has the annotation %q", pod.Name, value)
			}
		}
		return nil
	})
	return uint64(revision)
}

// Pods of workers are told of new credentials, and mounts appear, without an interval in
// between, in both orders of the changes to the pair. The other controller of the package
// does not see the namespace; this one repeats no pass by time.
func TestBindingIsCausedByWatches(t *testing.T) {
	t.Parallel()
	c := start(t)
	pair := strings.Split(manifest(t, "seed-unbound.yaml"), "\n---\n")
	at := slices.IndexFunc(pair, func(document string) bool { return strings.Contains(document, "kind: JindoRuntime") })
	dataset, jindoRuntime := pair[1-at], pair[at]
	annotate := func(ns string) {
		c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
			r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hbase"}
		})
	}
	namespaces := []string{c.namespace(t), c.namespace(t)}
	for _, ns := range namespaces {
		c.counts.setManual(ns)
	}
	c.runOnWatches(t, namespaces)
	for i, steps := range [][2]func(ns string){
		{func(ns string) { c.create(t, ns, dataset) }, annotate},
		{annotate, func(ns string) { c.create(t, ns, dataset) }},
	} {
		ns := namespaces[i]
		c.create(t, ns, jindoRuntime)
		c.startAll(t, ns, "hadoop")
		c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
		c.reportRevision(ns, 0, 0, 0)
		steps[0](ns)
		steps[1](ns)
		revision := c.awaitRefresh(t, ns)
		if got := c.mounted(ns); got != "" {
			t.Errorf("mounted %q before the workers have the credentials", got)
		}
		c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
			if err := checkCondition(s, v1alpha1.RuntimeChangeNotApplied, "", ""); err != nil {
				return err
			}
			return checkCondition(s, v1alpha1.RuntimeMountsReady, corev1.ConditionFalse, "to read its credentials")
		})
		c.reportRevision(ns, revision, revision, revision)
		c.triggerReconcile(t, ns)
		c.waitMounted(t, ns, "/hadoop=<OSS_ENDPOINT>@hadoop")
	}
}

// runOnWatches runs a controller that repeats no pass by time for runtimes of namespaces.
func (c *cluster) runOnWatches(t *testing.T, namespaces []string) {
	t.Helper()
	mgr, err := manager.NewManager(c.config, "on-watches", manager.Options{Namespace: system})
	if err != nil {
		t.Fatal(err)
	}
	r := &runtime.Reconciler{
		Client: only{mgr.GetClient(), namespaces}, Live: mgr.GetAPIReader(), Recorder: events.NewFakeRecorder(1000),
		SystemNamespace: system, Image: image, Dial: c.masters.dial, Credentials: c.credentials, Teardown: c.teardown,
	}
	if err := r.SetupOnWatches(mgr, namespaces[0]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// only is a client that finds runtimes of some namespaces only.
type only struct {
	client.Client
	namespaces []string
}

func (o only) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if _, is := into.(*v1alpha1.JindoRuntime); is && !slices.Contains(o.namespaces, key.Namespace) {
		key.Name = "of-another-controller"
	}
	return o.Client.Get(ctx, key, into, options...)
}

// What has no watch is the workers' reports: they are read at the interval of a start for
// as long as credentials or mounts are awaited, also of a runtime that is old.
func TestReportsAreAwaited(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed-unbound.yaml"))
	c.startAll(t, ns, "hadoop")
	c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
	c.counts.setManual(ns)
	c.reportRevision(ns, 0, 0, 0)
	old := &runtime.Reconciler{
		Client: c.Client, Live: c.Client, Recorder: events.NewFakeRecorder(1000), SystemNamespace: system, Image: image,
		Dial: c.masters.dial, Credentials: c.credentials, Teardown: c.teardown, Now: func() time.Time { return time.Now().Add(time.Hour) },
	}
	old.Complete()
	pass := func() time.Duration {
		t.Helper()
		var after time.Duration
		eventually(t, func() error {
			result, err := old.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: "hadoop"}})
			after = result.RequeueAfter
			return err
		})
		return after
	}
	rarely := func() error { // once no pass of the other controller is in progress
		if after := pass(); after <= runtime.StartupInterval {
			return fmt.Errorf("the next pass is in %v", after)
		}
		return nil
	}
	eventually(t, rarely)
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hbase"}
	})
	await := func(what string, done func() bool) {
		t.Helper()
		for range 10 {
			if after := pass(); after > runtime.StartupInterval {
				t.Fatalf("the next pass is in %v, before %s", after, what)
			}
			if done() {
				return
			}
		}
		t.Fatalf("not after 10 passes: %s", what)
	}
	await("the pods are annotated", func() bool {
		pod := &corev1.Pod{}
		c.mustGet(t, ns, "hadoop-jindofs-worker-2", pod)
		return pod.Annotations[names.AnnotationRefreshed] != ""
	})
	r, err := c.runtime(t.Context(), ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	revision := uint64(r.Status.Effective.Dataset.CredentialsRevision)
	c.reportRevision(ns, revision, revision, revision)
	await("there is a mount", func() bool { return c.mounted(ns) != "" })
	c.reportRevision(ns, revision, revision, revision)
	eventually(t, rarely)
}
