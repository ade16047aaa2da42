//go:build full

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// TestEdits adds, changes and removes a mount of a bound Dataset, and changes a tier,
// while a pod verifies every byte. A mount with open files is not removed before the pods
// that use the Dataset are gone. Only workers are replaced.
func TestEdits(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "edits")
	w := c.watchSeed(t, namespace)

	c.editDataset(t, namespace, func(spec *v1alpha1.DatasetSpec) {
		more := *spec.Mounts[0].DeepCopy()
		more.Name = "more"
		spec.Mounts = append(spec.Mounts, more)
	})
	c.mountsAre(t, namespace, "/hadoop", "/more")
	c.job(t, namespace, "read-more", "hbase", "/more")

	c.editDataset(t, namespace, func(spec *v1alpha1.DatasetSpec) {
		for i := range spec.Mounts {
			spec.Mounts[i].Options[v1alpha1.OptionMetaPolicy] = v1alpha1.MetaPolicyOnce
		}
	})
	c.runtimeIs(t, namespace, "the options are in effect", func(r *v1alpha1.RuntimeStatus) bool {
		for _, m := range r.Effective.Dataset.Spec.Mounts {
			if m.Options[v1alpha1.OptionMetaPolicy] != v1alpha1.MetaPolicyOnce {
				return false
			}
		}
		return !slices.ContainsFunc(r.Conditions, func(condition v1alpha1.RuntimeCondition) bool {
			return condition.Type == v1alpha1.RuntimeChangeNotApplied && condition.Status == corev1.ConditionTrue
		})
	})
	w.readOn(t, 200)
	c.job(t, namespace, "read-again", "hbase", "/more")

	before := c.dataPods(t, namespace)
	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=json", "-p", `[{"op":"replace","path":"/spec/tieredstore/levels/0/quota","value":"3G"}]`)
	// A quota is in the effective spec before the steps are in the status.
	c.runtimeIs(t, namespace, "the replacement of the workers has begun", func(r *v1alpha1.RuntimeStatus) bool {
		return r.Transition != nil && r.Effective.Runtime.TieredStore.Levels[0].Quota == "3G"
	})
	c.runtimeIs(t, namespace, "the workers are replaced", func(r *v1alpha1.RuntimeStatus) bool { return r.Transition == nil })
	c.runtimeReady(t, namespace, "hadoop")
	for uid, name := range c.dataPods(t, namespace) {
		if _, kept := before[uid]; kept == strings.Contains(name, "worker") {
			t.Errorf("pod %s remained: %v", name, kept)
		}
	}
	w.readOn(t, 200)

	c.editDataset(t, namespace, func(spec *v1alpha1.DatasetSpec) { spec.Mounts = spec.Mounts[:1] })
	c.runtimeIs(t, namespace, "the removal waits for the reader", func(r *v1alpha1.RuntimeStatus) bool {
		return slices.ContainsFunc(r.Conditions, func(condition v1alpha1.RuntimeCondition) bool {
			return condition.Type == v1alpha1.RuntimeChangeNotApplied && condition.Status == corev1.ConditionTrue &&
				strings.Contains(condition.Message, "reader")
		}) && len(r.Mounts) == 2
	})
	w.readOn(t, 200)
	w.unharmed(t)
	c.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}})
	c.kubectl(t, "delete", "job", "-n", namespace, "read-more", "read-again")
	c.mountsAre(t, namespace, "/hadoop")
}

func (c *cluster) editDataset(t *testing.T, namespace string, edit func(spec *v1alpha1.DatasetSpec)) {
	t.Helper()
	eventually(t, "the Dataset is edited", func(ctx context.Context) error {
		d := &v1alpha1.Dataset{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hbase"}, d); err != nil {
			return err
		}
		edit(&d.Spec)
		return c.Update(ctx, d)
	})
}

// mountsAre waits until the runtime has mounts at exactly these paths.
func (c *cluster) mountsAre(t *testing.T, namespace string, paths ...string) {
	t.Helper()
	c.runtimeIs(t, namespace, fmt.Sprint("the mounts are ", paths), func(r *v1alpha1.RuntimeStatus) bool {
		var mounted []string
		for _, m := range r.Mounts {
			mounted = append(mounted, m.Path)
		}
		slices.Sort(mounted)
		return slices.Equal(mounted, paths)
	})
}
