package runtime_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const tenantDirectory = "/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~empty-dir/v"

// noDirectories fails if a PersistentVolume of a directory of nodes exists for the
// namespace, or a workload has one.
func (c *cluster) noDirectories(t *testing.T, namespace string) {
	t.Helper()
	volumes := &corev1.PersistentVolumeList{}
	if err := c.List(t.Context(), volumes); err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == namespace && v.Spec.HostPath != nil {
			t.Errorf("PersistentVolume %s has the directory %s", v.Name, v.Spec.HostPath.Path)
		}
	}
	sets := &appsv1.StatefulSetList{}
	if err := c.List(t.Context(), sets, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for _, set := range sets.Items {
		t.Errorf("StatefulSet %s exists", set.Name)
	}
}

func (c *cluster) label(t *testing.T, namespace, level string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%q}}}`, level)
	ns := &corev1.Namespace{}
	ns.Name = namespace
	if err := c.Patch(t.Context(), ns, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func TestTierPathIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.create(t, ns, strings.ReplaceAll(manifest(t, "seed.yaml"), "/mnt/disk1", tenantDirectory))
	rt := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeHostPathRefused, corev1.ConditionTrue, "/mnt/disk1, /mnt/disk2, /mnt/disk3")
	})
	c.noDirectories(t, ns)
	if len(rt.Status.CacheDirectories) > 0 {
		t.Errorf("the deletion would clean %+v", rt.Status.CacheDirectories)
	}
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Spec.TieredStore.Levels[0].Path = "/mnt/disk1" })
	c.waitFor(t, ns, "hadoop-jindofs-worker", &appsv1.StatefulSet{})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeHostPathRefused, "", "")
	})
}

// The record of an earlier version is an annotation that users of the namespace can
// write. Nothing reads it once there is an effective spec, which they cannot write.
func TestRecordOfUsersIsIgnored(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	workers := &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-worker", workers)
	config := &corev1.ConfigMap{}
	c.mustGet(t, ns, names.Config("hadoop"), config)
	config.Annotations = map[string]string{"jindo.io/applied": `{"masterReplicas":1,"tieredstore":{"levels":[{"mediumtype":"SSD","path":"` + tenantDirectory + `","quota":"1Gi"}]}}`}
	if err := c.Update(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	c.triggerReconcile(t, ns)
	rt := c.status(t, ns, "hadoop", wantPhases("Ready/Ready/Ready"))
	if refused := condition(&rt.Status, v1alpha1.RuntimeHostPathRefused); refused.Status != "" {
		t.Errorf("condition %+v", refused)
	}
	after, volume := &appsv1.StatefulSet{}, &corev1.PersistentVolume{}
	c.mustGet(t, ns, "hadoop-jindofs-worker", after)
	c.mustGet(t, "", names.ScopeOf(ns, "hadoop", "").MasterVolume(0), volume)
	if after.Generation != workers.Generation || !strings.HasPrefix(volume.Spec.HostPath.Path, "/mnt/disk1/") {
		t.Errorf("workers have generation %d, before %d; the master's volume is %s", after.Generation, workers.Generation, volume.Spec.HostPath.Path)
	}
}

func TestNamespaceForbidsDirectories(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	c.label(t, ns, "baseline")
	c.create(t, ns, manifest(t, "seed.yaml"))
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimePodSecurityForbidden, corev1.ConditionTrue, "volumeType: emptyDir")
	})
	c.noDirectories(t, ns)
	c.label(t, ns, "privileged")
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) { r.Labels = map[string]string{"touched": "yes"} })
	c.waitFor(t, ns, "hadoop-jindofs-worker", &appsv1.StatefulSet{})
	c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimePodSecurityForbidden, "", "")
	})
}

// A label that is set later is reported, and does not end what runs.
func TestNamespaceForbidsDirectoriesLater(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	before := &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-worker", before)
	c.label(t, ns, "restricted")
	c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
		five := int32(5)
		r.Spec.Replicas = &five
	})
	rt := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimePodSecurityForbidden, corev1.ConditionTrue, `"restricted"`)
	})
	after := &appsv1.StatefulSet{}
	c.mustGet(t, ns, "hadoop-jindofs-worker", after)
	if after.UID != before.UID || *after.Spec.Replicas != *before.Spec.Replicas {
		t.Errorf("the workers changed from %d to %d", *before.Spec.Replicas, *after.Spec.Replicas)
	}
	if scaled := condition(&rt.Status, v1alpha1.RuntimeWorkersScaledOut); scaled.Status != "" {
		t.Errorf("a change that is not carried out is reported as %+v", scaled)
	}
	if len(rt.Status.CacheDirectories) == 0 {
		t.Error("directories that are in use are not recorded any more")
	}
	pods := &corev1.PodList{}
	if err := c.List(t.Context(), pods, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			t.Errorf("pod %s is deleted", pod.Name)
		}
	}
}

// The API server rejects events whose note is too long.
func TestLongEventIsRecorded(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	var env strings.Builder
	for i := range 60 {
		fmt.Fprintf(&env, "'%d=bäd': x, ", i)
	}
	c.create(t, ns, "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: d}\nspec: {master: {env: {"+env.String()+"}}}\n")
	eventually(t, func() error {
		list := &corev1.EventList{}
		if err := c.List(t.Context(), list, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "InvalidSpec" && strings.HasSuffix(e.Message, "…") {
				return nil
			}
		}
		return fmt.Errorf("%d events", len(list.Items))
	})
}
