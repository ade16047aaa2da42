package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// takeover takes over the record of an earlier version, once, into the first effective
// spec. Such a record is an annotation of the runtime's ConfigMap, which users of the
// namespace can write. Therefore it is used only as far as the same users could declare
// it: it must be valid as a spec, and its directories must be allowed. After that
// nothing reads it.
type takeover struct {
	client    client.Reader
	hostPaths hostpath.Policy
}

// appliedAnnotation is the annotation of the ConfigMap.
const appliedAnnotation = "jindo.io/applied"

// applied is the content of the annotation.
type applied struct {
	MasterReplicas   int32                `json:"masterReplicas"`
	StorageClassName *string              `json:"storageClassName,omitempty"`
	MasterDisabled   bool                 `json:"masterDisabled,omitempty"`
	WorkerDisabled   bool                 `json:"workerDisabled,omitempty"`
	FuseDisabled     bool                 `json:"fuseDisabled,omitempty"`
	TieredStore      v1alpha1.TieredStore `json:"tieredstore"`
	RenderedBy       string               `json:"renderedBy,omitempty"`
}

// apply changes the first effective spec to what an earlier version has carried out. A
// record that is not valid is ignored, which an event reports.
func (t takeover) apply(ctx context.Context, r *report, first *v1alpha1.EffectiveSpec) error {
	if r.status.Images != nil {
		first.Images, first.Renderer = *r.status.Images, r.status.Images.Jindo
	}
	config := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: r.runtime.Namespace, Name: names.Config(r.runtime.Name)}
	err := t.client.Get(ctx, key, config)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get ConfigMap %s: %w", key, err)
	}
	raw, found := config.Annotations[appliedAnnotation]
	if err != nil || !found || !metav1.IsControlledBy(config, r.runtime) {
		return nil
	}
	restored, renderer, err := t.read(raw, first.Runtime, r.runtime)
	if err != nil {
		r.addEvent(true, reasonInvalid, fmt.Sprintf("the record of an earlier version in ConfigMap %s is ignored: %v", key.Name, err))
		return nil
	}
	first.Runtime = *restored
	t.keepMounts(r, first)
	if renderer != "" {
		first.Renderer = renderer
	}
	return nil
}

// keepMounts keeps only those mounts in the status that the effective spec has. Others are
// removed from the Dataset, and the earlier version has not removed them.
func (takeover) keepMounts(r *report, first *v1alpha1.EffectiveSpec) {
	if first.Dataset == nil {
		return
	}
	r.status.Mounts = slices.DeleteFunc(r.status.Mounts, func(existing v1alpha1.Mount) bool {
		return !slices.ContainsFunc(first.Dataset.Spec.Mounts, func(m v1alpha1.Mount) bool { return m.Path == existing.Path })
	})
}

// read returns the declared spec with the fields of a record, and the image of the
// controller that rendered the pod templates.
func (t takeover) read(raw string, declared v1alpha1.JindoRuntimeSpec, of *v1alpha1.JindoRuntime) (*v1alpha1.JindoRuntimeSpec, string, error) {
	var record applied
	if err := json.Unmarshal([]byte(raw), &record); err != nil {
		return nil, "", fmt.Errorf("decode annotation %s: %w", appliedAnnotation, err)
	}
	restored := &v1alpha1.JindoRuntime{ObjectMeta: *of.ObjectMeta.DeepCopy(), Spec: *declared.DeepCopy()}
	spec := &restored.Spec
	spec.Master.Replicas, spec.Master.StorageClassName = &record.MasterReplicas, record.StorageClassName
	spec.Master.Disabled, spec.Worker.Disabled, spec.Fuse.Disabled = record.MasterDisabled, record.WorkerDisabled, record.FuseDisabled
	spec.TieredStore = record.TieredStore
	v1alpha1.SetDefaults(restored)
	errs, _ := v1alpha1.Validate(restored)
	return spec, record.RenderedBy, errors.Join(errs.ToAggregate(), t.checkTiers(spec.TieredStore))
}

// checkTiers returns an error unless every tier that is a directory of nodes is allowed.
func (t takeover) checkTiers(store v1alpha1.TieredStore) error {
	for _, level := range store.Levels {
		if level.MediumType == v1alpha1.MediumMEM || level.VolumeType == v1alpha1.VolumeEmptyDir {
			continue
		}
		paths, err := level.TierPaths()
		if err != nil {
			return err
		}
		for _, p := range paths {
			if err := t.hostPaths.Check(p.Path); err != nil {
				return err
			}
		}
	}
	return nil
}
