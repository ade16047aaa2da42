package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// small is a runtime that starts fast and needs few resources: one master, one
// worker, no data on the nodes' disks.
const small = `
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: hbase}
spec:
  replicas: 1
  master: {replicas: 1}
  tieredstore: {levels: [{mediumtype: HDD, path: /mnt/disk1, quota: 1Gi}]}
`

// TestJob reads everything through a claim, and checks the resulting statistics.
func TestJob(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "job")
	c.bucket(t)
	c.create(t, namespace, small)
	c.create(t, namespace, c.seedDataset())
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	c.job(t, namespace, "first", "hbase", "/hadoop")
	c.job(t, namespace, "second", "hbase", "/hadoop")
	eventually(t, "the figures are known", func(ctx context.Context) error {
		d := &v1alpha1.Dataset{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hbase"}, d); err != nil {
			return err
		}
		s := d.Status
		if want := fmt.Sprint(set.Files + 1); s.FileNum != want {
			return fmt.Errorf("fileNum is %q, want %s", s.FileNum, want)
		}
		if s.CacheStates[v1alpha1.CacheStateCachedPercentage] != "100.0%" {
			return fmt.Errorf("the figures are %v of %s", s.CacheStates, s.UfsTotal)
		}
		return nil
	})
}

// TestUnboundPair creates the pair of the walk-through without the line that binds
// it: both become ready, and both report the line to add.
func TestUnboundPair(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "unbound")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, withoutAnnotation(samples.Runtime))
	r := c.runtimeReady(t, namespace, "hadoop")
	if !slices.ContainsFunc(r.Status.Conditions, func(condition v1alpha1.RuntimeCondition) bool {
		return condition.Type == v1alpha1.RuntimeDatasetBound && condition.Status == corev1.ConditionFalse && strings.Contains(condition.Message, "data.fluid.io/dataset: hbase")
	}) {
		t.Errorf("no condition of the runtime prints the line: %v", r.Status.Conditions)
	}
	d := c.datasetPhase(t, namespace, "hbase", v1alpha1.NotBoundDatasetPhase)
	if !slices.ContainsFunc(d.Status.Conditions, func(condition v1alpha1.DatasetCondition) bool {
		return strings.Contains(condition.Message, "data.fluid.io/dataset: hbase")
	}) {
		t.Errorf("no condition of the Dataset prints the line: %v", d.Status.Conditions)
	}
	err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "hbase"}, &corev1.PersistentVolumeClaim{})
	if client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("there is a claim: %v", err)
	}

	// With the line the pair is bound, and pods can read.
	c.kubectl(t, "annotate", "jindoruntime", "hadoop", "-n", namespace, "data.fluid.io/dataset=hbase")
	annotated := time.Now()
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	t.Logf("bound %.1f s after the annotation", time.Since(annotated).Seconds())
	// Workers have the credentials before they open the store.
	var list corev1.EventList
	if err := c.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for _, event := range list.Items {
		if event.Reason == health.ReasonStoreRefuses || event.Reason == health.ReasonMountsNotReady {
			t.Errorf("event %s: %s", event.Reason, event.Message)
		}
	}
	c.job(t, namespace, "read", "hbase", "/hadoop")
}

// TestDatasetDeletedFirst deletes the Dataset while a pod uses it: its status names
// the pod, the data stays available, and the Dataset is deleted with the pod.
func TestDatasetDeletedFirst(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "dataset-first")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	c.kubectl(t, "delete", "dataset", "hbase", "-n", namespace, "--wait=false")
	eventually(t, "the Dataset names what keeps it", func(ctx context.Context) error {
		d := &v1alpha1.Dataset{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hbase"}, d); err != nil {
			return err
		}
		if !slices.ContainsFunc(d.Status.Conditions, func(condition v1alpha1.DatasetCondition) bool {
			return condition.Type == v1alpha1.DatasetDeletionBlocked && condition.Status == corev1.ConditionTrue && strings.Contains(condition.Message, "reader")
		}) {
			return fmt.Errorf("its conditions are %v", d.Status.Conditions)
		}
		return nil
	})
	w.readOn(t, 200)
	w.unharmed(t)
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
	c.waitDeleted(t, &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
	c.kubectl(t, "delete", "jindoruntime", "hbase", "-n", namespace, "--wait=false")
	c.waitDeleted(t, &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
	c.nothingLeft(t, namespace)
}
