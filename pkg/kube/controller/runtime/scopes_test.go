package runtime_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
	"github.com/jindo-io/jindo/pkg/plan"
)

// tenant is one of two runtimes whose NAMESPACE-NAME is the same.
type tenant struct{ namespace, name string }

// tenants returns two such runtimes in new namespaces.
func (c *cluster) tenants(t *testing.T) [2]tenant {
	t.Helper()
	first := c.namespace(t)
	second := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: first + "-b"}}
	if err := c.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	return [2]tenant{{first, "b-c"}, {second.Name, "c"}}
}

func (c *cluster) createTenant(t *testing.T, of tenant) {
	t.Helper()
	c.create(t, of.namespace, fmt.Sprintf(`
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: %s}
spec: {replicas: 1, master: {replicas: 1}, tieredstore: {levels: [{mediumtype: SSD, path: /mnt/disk1, quota: 10Gi}]}}
`, of.name))
}

// scope waits for the recorded scope of a runtime and its volume and workloads.
func (c *cluster) scope(t *testing.T, of tenant) names.Scope {
	t.Helper()
	r := c.status(t, of.namespace, of.name, func(s *v1alpha1.RuntimeStatus) error {
		if s.ScopeName == "" {
			return fmt.Errorf("no scope is recorded")
		}
		return nil
	})
	scope := scopes.Of(r)
	c.waitFor(t, of.namespace, of.name+"-jindofs-fuse", &appsv1.DaemonSet{})
	volume := &corev1.PersistentVolume{}
	c.waitFor(t, "", scope.MasterVolume(0), volume)
	if uid := volume.Labels[names.LabelRuntimeUID]; uid != string(r.UID) {
		t.Errorf("PersistentVolume %s is of runtime %s, want %s", volume.Name, uid, r.UID)
	}
	return scope
}

// differ checks that the objects of two runtimes have no name in common, and that one of
// them has the names that users of Fluid rely on.
func differ(t *testing.T, first, second names.Scope) {
	t.Helper()
	if first.Overlaps(second) {
		t.Fatalf("both runtimes have the scope %s", first.Name)
	}
	if expected := names.ScopeOf(first.Namespace, first.Object, ""); first != expected {
		t.Errorf("the first runtime has the scope %s, want %s", first.Name, expected.Name)
	}
	if expected := names.ScopeOf(second.Namespace, second.Object, "").Distinct(0); second != expected {
		t.Errorf("the second runtime has the scope %s, want %s", second.Name, expected.Name)
	}
}

func (c *cluster) labels(t *testing.T, node string) map[string]string {
	t.Helper()
	n := &corev1.Node{}
	c.mustGet(t, "", node, n)
	return n.Labels
}

// runWorkerOn starts the worker of a runtime on a node, and waits for its label.
func (c *cluster) runWorkerOn(t *testing.T, of tenant, scope names.Scope, node string) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	c.mustGet(t, of.namespace, names.Component(of.name, string(plan.RoleWorker)), set)
	pod := podOf(set, &set.Spec.Template, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	pod.Name, pod.Spec.NodeName = set.Name+"-0", node
	c.runPod(t, pod, true)
	eventually(t, func() error {
		if c.labels(t, node)[scope.CacheNodeLabel()] != "true" {
			return fmt.Errorf("node %s has no label %s", node, scope.CacheNodeLabel())
		}
		return nil
	})
}

// TestNodeLabelsOfTwoTenants checks both orders of creation.
func TestNodeLabelsOfTwoTenants(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		all := c.tenants(t)
		first, second := all[order[0]], all[order[1]]
		c.createTenant(t, first)
		one := c.scope(t, first)
		c.createTenant(t, second)
		two := c.scope(t, second)
		differ(t, one, two)
		c.runWorkerOn(t, first, one, "node0")
		c.runWorkerOn(t, second, two, "node1")
		if labels := c.labels(t, "node0"); labels[two.CacheNodeLabel()] != "" {
			t.Errorf("node0 has the label of the second runtime: %v", labels)
		}
		if labels := c.labels(t, "node1"); labels[one.CacheNodeLabel()] != "" {
			t.Errorf("node1 has the label of the first runtime: %v", labels)
		}
		fuse := &appsv1.DaemonSet{}
		c.mustGet(t, second.namespace, second.name+"-jindofs-fuse", fuse)
		for _, term := range fuse.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			if key := term.MatchExpressions[0].Key; key != two.FuseNodeLabel() && key != two.CacheNodeLabel() {
				t.Errorf("FUSE servers of the second runtime run on nodes with label %s", key)
			}
		}
	}
}

// TestTenantsAtOnce creates both runtimes at the same time.
func TestTenantsAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	for range 3 {
		all := c.tenants(t)
		var created sync.WaitGroup
		for _, of := range all {
			created.Go(func() { c.createTenant(t, of) })
		}
		created.Wait()
		if one, two := c.scope(t, all[0]), c.scope(t, all[1]); one.Overlaps(two) {
			t.Errorf("both runtimes have the scope %s", one.Name)
		}
	}
}

// TestScopesOutliveTheStatus checks that runtimes without a record, which an earlier
// version has created or whose status was lost, keep their names.
func TestScopesOutliveTheStatus(t *testing.T) {
	t.Parallel()
	c := start(t)
	all := c.tenants(t)
	for _, of := range all {
		c.createTenant(t, of)
		c.scope(t, of)
	}
	for _, lost := range [][]tenant{{all[0]}, {all[1]}, {all[1], all[0]}} {
		for _, of := range lost {
			eventually(t, func() error {
				r, err := c.runtime(t.Context(), of.namespace, of.name)
				if err != nil {
					return err
				}
				r.Status.ScopeName = ""
				return c.Status().Update(t.Context(), r)
			})
			c.change(t, of.namespace, of.name, func(r *v1alpha1.JindoRuntime) {
				r.Annotations = map[string]string{"touched": r.ResourceVersion}
			})
		}
		differ(t, c.scope(t, all[0]), c.scope(t, all[1]))
	}
}

// TestRecordedScopeIsImmutable checks that not even the controllers change a name.
func TestRecordedScopeIsImmutable(t *testing.T) {
	t.Parallel()
	c := start(t)
	of := c.tenants(t)[0]
	c.createTenant(t, of)
	c.scope(t, of)
	eventually(t, func() error {
		r, err := c.runtime(t.Context(), of.namespace, of.name)
		if err != nil {
			return err
		}
		r.Status.ScopeName = "other"
		if err = c.Status().Update(t.Context(), r); err == nil || !strings.Contains(err.Error(), "immutable") {
			return fmt.Errorf("update of the recorded name: %w", err)
		}
		return nil
	})
}

// TestDeletionLeavesOtherTenantsLabels deletes each of the two runtimes in turn.
func TestDeletionLeavesOtherTenantsLabels(t *testing.T) {
	t.Parallel()
	c := start(t)
	for deleted := range 2 {
		all := c.tenants(t)
		var found [2]names.Scope
		for i, of := range all {
			c.createTenant(t, of)
			found[i] = c.scope(t, of)
			c.runWorkerOn(t, of, found[i], fmt.Sprintf("node%d", i))
		}
		kept := 1 - deleted
		c.tearDown(t, all[deleted])
		for i := range 3 {
			for label := range c.labels(t, fmt.Sprintf("node%d", i)) {
				if slices.Contains([]string{found[deleted].CacheNodeLabel(), found[deleted].FuseNodeLabel()}, label) {
					t.Errorf("node%d has label %s of the deleted runtime", i, label)
				}
			}
		}
		if labels := c.labels(t, fmt.Sprintf("node%d", kept)); labels[found[kept].CacheNodeLabel()] != "true" {
			t.Errorf("the label %s of the other runtime was removed: %v", found[kept].CacheNodeLabel(), labels)
		}
		volume := &corev1.PersistentVolume{}
		c.mustGet(t, "", found[kept].MasterVolume(0), volume)
		if volume.DeletionTimestamp != nil {
			t.Errorf("PersistentVolume %s of the other runtime is being deleted", volume.Name)
		}
	}
}

// tearDown carries out the deletion of a runtime until its labels are removed. The
// processes that would end its pods and clean nodes do not run.
func (c *cluster) tearDown(t *testing.T, of tenant) {
	t.Helper()
	r, err := c.runtime(t.Context(), of.namespace, of.name)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.steps[of.namespace] = runtime.Teardown{Waiting: "the test removes it"}
	c.mu.Unlock()
	if err := c.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	deps := teardown.Deps{Client: c.Client, Live: c.Client, SystemNamespace: system, Image: image, Recorder: events.NewFakeRecorder(100)}
	eventually(t, func() error {
		if err := c.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(of.namespace), client.GracePeriodSeconds(0)); err != nil {
			return err
		}
		c.releaseVolumes(t, of)
		c.endCleaners(t, r)
		result, err := teardown.Runtime(t.Context(), deps, r)
		if err == nil && !result.Done {
			err = fmt.Errorf("waiting: %s%s", result.Waiting, result.Blocked)
		}
		return err
	})
}

// releaseVolumes removes the finalizers of volumes that are being deleted, as Kubernetes
// does.
func (c *cluster) releaseVolumes(t *testing.T, of tenant) {
	t.Helper()
	list := &corev1.PersistentVolumeList{}
	if err := c.List(t.Context(), list, client.MatchingLabels{names.LabelRuntimeNamespace: of.namespace}); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if volume := &list.Items[i]; volume.DeletionTimestamp != nil {
			volume.Finalizers = nil
			if err := c.Update(t.Context(), volume); client.IgnoreNotFound(err) != nil {
				t.Log(err)
			}
		}
	}
}

// endCleaners ends the pods that remove the directories of a runtime.
func (c *cluster) endCleaners(t *testing.T, r *v1alpha1.JindoRuntime) {
	t.Helper()
	list := &corev1.PodList{}
	if err := c.List(t.Context(), list, client.InNamespace(system), client.MatchingLabels{names.LabelRuntimeUID: string(r.UID)}); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		list.Items[i].Status.Phase = corev1.PodSucceeded
		if err := c.Status().Update(t.Context(), &list.Items[i]); client.IgnoreNotFound(err) != nil {
			t.Log(err)
		}
	}
}
