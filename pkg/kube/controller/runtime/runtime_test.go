package runtime_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func manifest(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("../../../plan/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func phases(s *v1alpha1.RuntimeStatus) string {
	return fmt.Sprintf("%s/%s/%s", s.MasterPhase, s.WorkerPhase, s.FusePhase)
}

func wantPhases(want string) func(s *v1alpha1.RuntimeStatus) error {
	return func(s *v1alpha1.RuntimeStatus) error {
		if got := phases(s); got != want {
			return fmt.Errorf("phases %s, want %s (%s; %s; %s; %+v)", got, want, s.MasterReason, s.WorkerReason, s.FuseReason, s.Conditions)
		}
		return nil
	}
}

// startAll starts the pods of a runtime, with a leader.
func (c *cluster) startAll(t *testing.T, ns, name string) {
	t.Helper()
	c.waitFor(t, ns, name+"-jindofs-fuse", &appsv1.DaemonSet{})
	c.masters.change(ns, func(s *fakeSet) { s.leader, s.term, s.voters = name+"-jindofs-master-1", 3, 3 })
	c.run(t, ns, name, plan.RoleMaster, 3)
	c.run(t, ns, name, plan.RoleWorker, 3)
	c.runFuse(t, ns, name, 3)
}

// report sets the workers' report: cached bytes, and the totals of each mount.
func (c *cluster) report(ns string, used uint64, objects, bytes int64, failure string) {
	c.masters.change(ns, func(s *fakeSet) {
		report := &commonv1.WorkerReport{
			Tiers: []*commonv1.TierReport{{Capacity: 3 << 30, Used: used}}, HitBytes: 3, MissBytes: 1,
		}
		for _, m := range s.view.GetMounts() {
			report.Mounts = append(report.Mounts, &commonv1.MountHealth{MountId: m.GetId(), Objects: objects, Bytes: bytes, Error: failure})
		}
		s.workers = []*masterv1.WorkerState{{Live: true, Report: report}}
	})
}

func TestSeedPair(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed.yaml"))

	c.waitFor(t, ns, "hadoop-jindofs-fuse", &appsv1.DaemonSet{})
	for name, object := range map[string]interface{ GetName() string }{
		"hadoop-jindofs-master-0": &corev1.Service{}, "hadoop-jindofs-master-2": &corev1.Service{},
		"hadoop-jindofs-worker": &corev1.Service{}, "hadoop-jindofs-master": &policyv1.PodDisruptionBudget{},
		"hadoop-jindofs-config": &corev1.ConfigMap{}, "hadoop-jindofs": &corev1.ServiceAccount{},
	} {
		switch o := object.(type) {
		case *corev1.Service:
			c.waitFor(t, ns, name, o)
		case *policyv1.PodDisruptionBudget:
			c.waitFor(t, ns, name, o)
		case *corev1.ConfigMap:
			c.waitFor(t, ns, name, o)
		case *corev1.ServiceAccount:
			c.waitFor(t, ns, name, o)
		}
	}
	for role, keys := range map[string][]string{
		"master": {"ca.crt", "hadoop-jindofs-master-0.crt", "hadoop-jindofs-master-0.key", "hadoop-jindofs-master-2.crt"},
		"worker": {"hadoop-jindofs-worker-2.key"}, "fuse": {"tls.crt", "tls.key", "roster.json"}, "admin": {"tls.crt"},
	} {
		secret := &corev1.Secret{}
		c.waitFor(t, ns, names.Secret("hadoop", role), secret)
		for _, key := range keys {
			if len(secret.Data[key]) == 0 {
				t.Errorf("Secret %s has no key %s", secret.Name, key)
			}
		}
	}
	var hosts []string
	for i := range 3 {
		volume := &corev1.PersistentVolume{}
		c.waitFor(t, "", names.ScopeOf(ns, "hadoop", "").MasterVolume(i), volume)
		hosts = append(hosts, volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0])
	}
	slices.Sort(hosts)
	if !slices.Equal(hosts, []string{"node0", "node1", "node2"}) {
		t.Errorf("masters' volumes are on %v", hosts)
	}

	runtime := c.status(t, ns, "hadoop", wantPhases("NotReady/NotReady/NotReady"))
	id := runtime.Status.Formation.ClusterID
	if id == "" || runtime.Status.Formation.Formed || runtime.Status.Images.Jindo != image {
		t.Errorf("formation %+v, images %+v", runtime.Status.Formation, runtime.Status.Images)
	}
	c.startAll(t, ns, "hadoop")
	c.report(ns, 1<<30, -1, -1, "")
	c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) != 1 || s.Mounts[0].Path != "/hadoop" {
			return fmt.Errorf("mounts %+v, want /hadoop", s.Mounts)
		}
		return nil
	})
	c.report(ns, 1<<30, 10, 4<<30, "")
	runtime = c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if err := checkCondition(s, v1alpha1.RuntimeMountsReady, corev1.ConditionTrue, ""); err != nil {
			return err
		}
		if s.UfsTotal != "4.00GiB" || s.FileNum != "10" || s.CacheStates["cachedPercentage"] != "25.0%" || s.CacheStates["cacheHitRatio"] != "75.0%" {
			return fmt.Errorf("usage %s, %s files, %v", s.UfsTotal, s.FileNum, s.CacheStates)
		}
		return nil
	})
	s := runtime.Status
	if !s.Formation.Formed || s.Formation.ClusterID != id || s.Raft.Leader != "hadoop-jindofs-master-1" || s.Raft.Term != 3 || len(s.Raft.Members) != 3 {
		t.Errorf("formation %+v, raft %+v", s.Formation, s.Raft)
	}
	if s.Selector != "app=jindo,release=hadoop,role=jindofs-worker" || s.CurrentWorkerNumberScheduled != 3 {
		t.Errorf("selector %q of %d workers", s.Selector, s.CurrentWorkerNumberScheduled)
	}
	if len(s.CacheDirectories) != 3 || !slices.Contains(s.CacheDirectories[0].Paths, "/mnt/disk1/"+ns+"/hadoop/jindofs/tier") {
		t.Errorf("directories %+v", s.CacheDirectories)
	}
	eventually(t, func() error {
		config := &corev1.ConfigMap{}
		c.mustGet(t, ns, "hadoop-jindofs-config", config)
		if config.Data["formed"] != "true" || !contains(config.Data["roster.json"], "hadoop-jindofs-master-0."+ns+".svc") {
			return fmt.Errorf("ConfigMap %v", config.Data)
		}
		return nil
	})
	node := &corev1.Node{}
	c.mustGet(t, "", "node1", node)
	if node.Labels[names.ScopeOf(ns, "hadoop", "").CacheNodeLabel()] != "true" {
		t.Errorf("node1 has labels %v", node.Labels)
	}

	c.report(ns, 1<<30, 10, 4<<30, "the bucket does not exist")
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeMountsReady, corev1.ConditionFalse, "the bucket does not exist")
	})
}

func TestInvalidSpec(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	// The CRD's schema cannot validate annotations.
	c.create(t, ns, strings.Replace(manifest(t, "seed.yaml"), "data.fluid.io/dataset: hbase", `data.fluid.io/dataset: "My Data"`, 1))
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeSpecValid, corev1.ConditionFalse, "not a valid Dataset name")
	})
	eventually(t, func() error {
		if notes := c.events(t, ns, "InvalidSpec"); len(notes) == 0 {
			return fmt.Errorf("no event")
		}
		return nil
	})
	other := c.namespace(t)
	c.create(t, other, manifest(t, "seed.yaml"))
	c.waitFor(t, other, "hadoop-jindofs-master", &appsv1.StatefulSet{})
	list := &appsv1.StatefulSetList{}
	if err := c.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, set := range list.Items {
		if set.Namespace == ns {
			t.Errorf("StatefulSet %s was created for an invalid spec", set.Name)
		}
	}
}

// The older of two runtimes with the same Dataset serves it, and the other one reports
// that.
func TestClaimedTwice(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed-unbound.yaml"))
	first, err := c.runtime(t.Context(), ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	claim := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"data.fluid.io/dataset":"hbase"}}}`))
	if err := c.Patch(t.Context(), first, claim); err != nil {
		t.Fatal(err)
	}
	// Creation timestamps have a resolution of one second.
	time.Sleep(time.Until(first.CreationTimestamp.Add(1100 * time.Millisecond)))
	second := &v1alpha1.JindoRuntime{}
	second.Namespace, second.Name, second.Annotations = ns, "spark", first.Annotations
	if err := c.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	c.status(t, ns, "spark", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeDatasetBound, corev1.ConditionFalse, "Dataset hbase is already bound to the older JindoRuntime hadoop")
	})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeDatasetBound, corev1.ConditionTrue, "")
	})
}

func TestUnbound(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, manifest(t, "seed-unbound.yaml"))
	c.startAll(t, ns, "hadoop")
	c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeDatasetBound, corev1.ConditionFalse, "add the annotation data.fluid.io/dataset: hbase to the JindoRuntime")
	})
	eventually(t, func() error {
		for _, note := range c.events(t, ns, "NotBound") {
			if contains(note, "data.fluid.io/dataset: hbase") {
				return nil
			}
		}
		return fmt.Errorf("no event with the annotation")
	})
	runtime, err := c.runtime(t.Context(), ns, "hadoop")
	if err != nil {
		t.Fatal(err)
	}
	runtime.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hbase"}
	if err := c.Update(t.Context(), runtime); err != nil {
		t.Fatal(err)
	}
	c.reportRevision(ns, c.awaitRefresh(t, ns))
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if len(s.Mounts) != 1 {
			return fmt.Errorf("no mounts: %+v", s.Conditions)
		}
		return checkCondition(s, v1alpha1.RuntimeDatasetBound, corev1.ConditionTrue, "")
	})
}
