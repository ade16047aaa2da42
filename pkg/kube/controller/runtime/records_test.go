package runtime_test

import (
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestDeletedRecordIsRestored checks that the ConfigMap of a cluster that has formed
// returns with the same content, so that no master forms another one.
func TestDeletedRecordIsRestored(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	before := &corev1.ConfigMap{}
	eventually(t, func() error {
		c.mustGet(t, ns, names.Config("hadoop"), before)
		if before.Data[names.ConfigFormed] != "true" {
			return fmt.Errorf("the ConfigMap has %v", before.Data)
		}
		return nil
	})
	for range 2 {
		deleted := &corev1.ConfigMap{}
		c.mustGet(t, ns, before.Name, deleted)
		if err := c.Delete(t.Context(), deleted); err != nil {
			t.Fatal(err)
		}
		restored := &corev1.ConfigMap{}
		c.waitFor(t, ns, before.Name, restored)
		if restored.UID == deleted.UID || !maps.Equal(restored.Data, before.Data) {
			t.Errorf("the ConfigMap has %v, want %v", restored.Data, before.Data)
		}
	}
}

// TestEarlierRecordIsNotAdopted creates a runtime beside the ConfigMap of an earlier one
// whose finalizer was removed by force.
func TestEarlierRecordIsNotAdopted(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.namespace(t)
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: names.Config("hadoop"), Labels: names.Labels("hadoop", ""), OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.JindoRuntimeKind, Name: "hadoop", UID: "earlier", Controller: new(true),
		}}},
		Data: map[string]string{"roster.json": `{"clusterID":"earlier"}`, names.ConfigFormed: "true"},
	}
	if err := c.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	c.create(t, ns, manifest(t, "seed.yaml"))
	r := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		if s.Formation == nil {
			return fmt.Errorf("no formation is recorded")
		}
		return nil
	})
	if f := r.Status.Formation; f.ClusterID == "earlier" || f.Formed {
		t.Errorf("the new runtime has the record %+v", f)
	}
}
