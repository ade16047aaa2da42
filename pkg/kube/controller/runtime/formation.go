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

// readConfig reads what was applied before.
func (p *pass) readConfig(ctx context.Context) error {
	config := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: p.runtime.Namespace, Name: names.Config(p.runtime.Name)}
	err := p.r.Client.Get(ctx, key, config)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ConfigMap %s: %w", key, err)
	}
	p.config, err = render.ReadConfig(config)
	if err != nil && p.status.Formation == nil {
		// Without a record the identity of the cluster would be guessed.
		return err
	}
	return nil
}

// ensureFormation makes sure that status holds the identity of the cluster, and
// its images, before anything that depends on them is made.
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

// learnFormation answers the record of a runtime without one: that which its
// objects or masters still know, or a new one where there is nothing yet. It
// answers nil when it cannot be known now.
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
		return nil, fmt.Errorf("reading StatefulSet %s: %w", key, err)
	}
	// Masters run, and status and ConfigMap are lost: only they know.
	id, err := p.queryClusterID(ctx)
	if err != nil {
		p.setCondition(v1alpha1.RuntimeReady, false, reasonFailed, fmt.Sprintf(
			"the record of the cluster's identity is lost, and no master tells it yet: %v", err))
		p.requeueAfter = notReadyInterval
		return nil, nil
	}
	return &v1alpha1.Formation{ClusterID: id, Formed: true}, nil
}

func newFormation() (*v1alpha1.Formation, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("drawing a cluster id: %w", err)
	}
	return &v1alpha1.Formation{ClusterID: hex.EncodeToString(id[:])}, nil
}

// images that the spec asks for now, for those it does not say the
// controller's own.
func (p *pass) images() v1alpha1.RuntimeImages {
	spec := p.want.Spec
	return v1alpha1.RuntimeImages{
		Jindo: names.Image(p.r.Image, spec.JindoVersion.Image, spec.JindoVersion.ImageTag),
		Fuse:  names.Image(p.r.Image, spec.Fuse.Image, spec.Fuse.ImageTag),
	}
}

// restoreApplied makes the pass carry on with what was applied where the spec
// was edited in a way that running pods cannot follow.
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

// appliedNow is the record for what is carried out in this pass.
func (p *pass) appliedNow() render.Applied {
	applied := render.AppliedOf(p.want)
	applied.RenderedBy = p.r.Image
	if before := p.config.Applied; before != nil && before.RenderedBy != "" {
		applied.RenderedBy = before.RenderedBy
	}
	return applied
}

// keepTemplate leaves the template of pods as it is where other controllers
// made it: the pods' image is theirs too.
func (p *pass) keepTemplate(ctx context.Context, object client.Object) error {
	if p.appliedNow().RenderedBy == p.r.Image {
		return nil
	}
	switch o := object.(type) {
	case *appsv1.StatefulSet:
		there, err := p.statefulSet(ctx, o.Name)
		if err != nil || there == nil {
			return err
		}
		kept := there.DeepCopy()
		o.Spec.Template, o.Spec.VolumeClaimTemplates = kept.Spec.Template, kept.Spec.VolumeClaimTemplates
	case *appsv1.DaemonSet:
		there := &appsv1.DaemonSet{}
		found, err := p.get(ctx, o.Name, there)
		if err != nil || !found {
			return err
		}
		o.Spec.Template = *there.Spec.Template.DeepCopy()
	}
	return nil
}

// edits names the fields that differ, each with what to do.
func edits(before, now render.Applied) []string {
	var edits []string
	add := func(differs bool, text string) {
		if differs {
			edits = append(edits, text)
		}
	}
	add(before.MasterReplicas != now.MasterReplicas, fmt.Sprintf("spec.master.replicas stays %d: the number of masters cannot be changed online yet", before.MasterReplicas))
	add(!equality.Semantic.DeepEqual(before.StorageClassName, now.StorageClassName), "spec.master.storageClassName stays as it was: the masters' volumes are there already")
	add(!sameTiers(before.TieredStore, now.TieredStore), "spec.tieredstore stays as it was: tiers cannot be changed online yet")
	add(before.MasterDisabled != now.MasterDisabled || before.WorkerDisabled != now.WorkerDisabled || before.FuseDisabled != now.FuseDisabled,
		"disabled stays as it was: components cannot be added or left out online yet")
	return edits
}

// sameTiers compares them as they are recorded.
func sameTiers(a, b v1alpha1.TieredStore) bool {
	first, errA := json.Marshal(a)
	second, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(first, second)
}

func imageEdits(spec v1alpha1.JindoRuntimeSpec, pinned, now v1alpha1.RuntimeImages) []string {
	var edits []string
	if (spec.JindoVersion.Image != "" || spec.JindoVersion.ImageTag != "") && now.Jindo != pinned.Jindo {
		edits = append(edits, fmt.Sprintf("spec.jindoVersion asks for %s: the pods stay with %s, because images cannot be changed online yet", now.Jindo, pinned.Jindo))
	}
	if (spec.Fuse.Image != "" || spec.Fuse.ImageTag != "") && now.Fuse != pinned.Fuse {
		edits = append(edits, fmt.Sprintf("spec.fuse asks for image %s: the pods stay with %s, because images cannot be changed online yet", now.Fuse, pinned.Fuse))
	}
	return edits
}
