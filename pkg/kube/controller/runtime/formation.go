package runtime

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
)

// readConfig reads the ConfigMap with the last applied configuration.
func (p *pass) readConfig(ctx context.Context) error {
	config := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: p.runtime.Namespace, Name: names.Config(p.runtime.Name)}
	err := p.r.Client.Get(ctx, key, config)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ConfigMap %s: %w", key, err)
	}
	p.config, err = render.ReadConfig(config)
	if err != nil && p.status.Formation == nil {
		// Without a formation record the cluster id would be guessed.
		return err
	}
	return nil
}

// ensureFormation ensures that the status has the cluster id and the images before
// objects that depend on them are created. It reports whether it has.
func (p *pass) ensureFormation(ctx context.Context) (bool, error) {
	changed := false
	if p.status.Formation == nil {
		formation, err := p.recoverFormation(ctx)
		if err != nil || formation == nil {
			return false, err
		}
		p.status.Formation, changed = formation, true
	}
	if p.status.Images == nil {
		images := p.images()
		p.status.Images, changed = &images, true
	}
	p.status.ValueFileConfigmap = names.Config(p.runtime.Name)
	if !changed {
		return true, nil
	}
	if err := p.save(ctx); err != nil {
		return false, err
	}
	return true, nil
}

// recoverFormation returns the formation record of a runtime whose status has none:
// the one in its ConfigMap or in its masters, or a new one if it has no masters yet.
// It returns nil if the record is not available now.
func (p *pass) recoverFormation(ctx context.Context) (*v1alpha1.Formation, error) {
	if p.config.ClusterID != "" {
		return &v1alpha1.Formation{ClusterID: p.config.ClusterID, Formed: p.config.Formed}, nil
	}
	masters := &appsv1.StatefulSet{}
	key := client.ObjectKey{Namespace: p.runtime.Namespace, Name: names.Component(p.runtime.Name, "master")}
	err := p.r.Live.Get(ctx, key, masters)
	if apierrors.IsNotFound(err) {
		return newFormation()
	}
	if err != nil {
		return nil, fmt.Errorf("get StatefulSet %s: %w", key, err)
	}
	// Status and ConfigMap are lost, so only the masters have the cluster id.
	id, err := p.queryClusterID(ctx)
	if err != nil {
		p.setCondition(v1alpha1.RuntimeReady, false, reasonFailed, fmt.Sprintf(
			"the cluster id is missing from the status, and no master has returned it yet: %v", err))
		p.requeueAfter = notReadyInterval
		return nil, nil
	}
	return &v1alpha1.Formation{ClusterID: id, Formed: true}, nil
}

func newFormation() (*v1alpha1.Formation, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("generate cluster id: %w", err)
	}
	return &v1alpha1.Formation{ClusterID: hex.EncodeToString(id[:])}, nil
}

// images returns the images of the spec; the default is the controller's own.
func (p *pass) images() v1alpha1.RuntimeImages {
	spec := p.want.Spec
	return v1alpha1.RuntimeImages{
		Jindo: names.Image(p.r.Image, spec.JindoVersion.Image, spec.JindoVersion.ImageTag),
		Fuse:  names.Image(p.r.Image, spec.Fuse.Image, spec.Fuse.ImageTag),
	}
}

// restoreApplied replaces changes of the spec that running pods cannot adopt by the
// applied values, and records them as not applied.
func (p *pass) restoreApplied() {
	if before := p.config.Applied; before != nil {
		now := render.AppliedOf(p.want)
		p.notApplied = append(p.notApplied, edits(*before, now)...)
		before.Restore(p.want)
	}
	if images := p.status.Images; images != nil {
		p.notApplied = append(p.notApplied, imageEdits(p.want.Spec, *images, p.images())...)
	}
}

// appliedNow returns the record of the configuration that this pass applies.
func (p *pass) appliedNow() render.Applied {
	applied := render.AppliedOf(p.want)
	applied.RenderedBy = p.r.Image
	if before := p.config.Applied; before != nil && before.RenderedBy != "" {
		applied.RenderedBy = before.RenderedBy
	}
	return applied
}

// keepTemplate keeps the existing pod template if another version of the controller
// created it, because the pods run the image of that version, too.
func (p *pass) keepTemplate(ctx context.Context, object client.Object) error {
	if p.appliedNow().RenderedBy == p.r.Image {
		return nil
	}
	switch o := object.(type) {
	case *appsv1.StatefulSet:
		current, err := p.statefulSet(ctx, o.Name)
		if err != nil || current == nil {
			return err
		}
		kept := current.DeepCopy()
		o.Spec.Template, o.Spec.VolumeClaimTemplates = kept.Spec.Template, kept.Spec.VolumeClaimTemplates
	case *appsv1.DaemonSet:
		current := &appsv1.DaemonSet{}
		found, err := p.get(ctx, o.Name, current)
		if err != nil || !found {
			return err
		}
		o.Spec.Template = *current.Spec.Template.DeepCopy()
	}
	return nil
}

// edits returns a message for each changed field.
func edits(before, now render.Applied) []string {
	var edits []string
	add := func(differs bool, text string) {
		if differs {
			edits = append(edits, text)
		}
	}
	add(before.MasterReplicas != now.MasterReplicas, fmt.Sprintf("spec.master.replicas remains %d: changing the number of masters is not supported yet", before.MasterReplicas))
	add(!equality.Semantic.DeepEqual(before.StorageClassName, now.StorageClassName), "spec.master.storageClassName is unchanged: the masters' volumes already exist")
	add(!sameTiers(before.TieredStore, now.TieredStore), "spec.tieredstore is unchanged: changing tiers is not supported yet")
	add(before.MasterDisabled != now.MasterDisabled || before.WorkerDisabled != now.WorkerDisabled || before.FuseDisabled != now.FuseDisabled,
		"disabled is unchanged: adding or removing components is not supported yet")
	return edits
}

// sameTiers reports whether two tiered stores are equal when encoded.
func sameTiers(a, b v1alpha1.TieredStore) bool {
	first, errA := json.Marshal(a)
	second, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(first, second)
}

func imageEdits(spec v1alpha1.JindoRuntimeSpec, pinned, now v1alpha1.RuntimeImages) []string {
	var edits []string
	if (spec.JindoVersion.Image != "" || spec.JindoVersion.ImageTag != "") && now.Jindo != pinned.Jindo {
		edits = append(edits, fmt.Sprintf("spec.jindoVersion: image %s is not applied, pods keep %s: changing images is not supported yet", now.Jindo, pinned.Jindo))
	}
	if (spec.Fuse.Image != "" || spec.Fuse.ImageTag != "") && now.Fuse != pinned.Fuse {
		edits = append(edits, fmt.Sprintf("spec.fuse: image %s is not applied, pods keep %s: changing images is not supported yet", now.Fuse, pinned.Fuse))
	}
	return edits
}
