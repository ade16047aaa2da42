package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// declarations reads what users have declared: a runtime's spec and its Dataset.
//
// Input: the runtime. Output: the declaration, the conditions SpecValid and DatasetBound,
// and status.history.
type declarations struct {
	client client.Reader
	// image is the image of the controller.
	image string
}

// declaration is what users have declared. Only the code that plans the next effective
// spec uses it.
type declaration struct {
	plan.Declared
	// valid reports that the spec of the runtime is valid. Otherwise Declared.Runtime
	// is not set.
	valid bool
}

func (d declarations) reconcile(ctx context.Context, r *report) (declaration, error) {
	declared := declaration{Declared: plan.Declared{
		Renderer: d.image, Updates: r.runtime.Annotations[v1alpha1.UpdatesAnnotation],
		Secret: names.Secret(r.runtime.Name, "credentials"), SecretKey: ufs.CredentialKey,
	}}
	errs, _ := v1alpha1.Validate(r.runtime)
	if err := errs.ToAggregate(); err != nil {
		message := errorMessage(err)
		if r.status.Effective != nil {
			message += "; the runtime continues as before this edit: correct it, or apply the previous manifest"
		}
		r.setCondition(v1alpha1.RuntimeSpecValid, false, reasonInvalid, message)
		return declared, nil
	}
	r.setCondition(v1alpha1.RuntimeSpecValid, true, reasonValid, "the spec is valid")
	recordSpec(r)
	declared.valid, declared.Runtime = true, r.runtime.DeepCopy()
	v1alpha1.SetDefaults(declared.Runtime)
	declared.Images = d.images(declared.Runtime)
	return declared, d.findDataset(ctx, r, &declared)
}

// images returns the images of the spec; the default is the controller's own.
func (d declarations) images(runtime *v1alpha1.JindoRuntime) v1alpha1.RuntimeImages {
	spec := runtime.Spec
	return v1alpha1.RuntimeImages{
		Jindo: names.Image(d.image, spec.JindoVersion.Image, spec.JindoVersion.ImageTag),
		Fuse:  names.Image(d.image, spec.Fuse.Image, spec.Fuse.ImageTag),
	}
}

// findDataset finds the Dataset that the runtime serves, if it exists, is valid, and is
// not served by an older runtime.
func (d declarations) findDataset(ctx context.Context, r *report, declared *declaration) error {
	dataset := &v1alpha1.Dataset{}
	key := client.ObjectKey{Namespace: r.runtime.Namespace, Name: plan.DatasetName(r.runtime)}
	err := d.client.Get(ctx, key, dataset)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Dataset %s: %w", key, err)
	}
	if err != nil || !plan.Bound(dataset, r.runtime) {
		reason, err := d.unboundReason(ctx, r.runtime)
		r.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonNotBound, reason)
		return err
	}
	serving, err := d.serving(ctx, r.runtime, dataset)
	if err != nil {
		return err
	}
	if serving != r.runtime.Name {
		r.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonDatasetClaimed, fmt.Sprintf(
			"Dataset %[2]s is already bound to the older JindoRuntime %[1]s: delete one of the two runtimes, or set the annotation %[3]s of this one to another Dataset",
			serving, dataset.Name, v1alpha1.DatasetAnnotation))
		return nil
	}
	v1alpha1.SetDefaults(dataset)
	if errs, _ := v1alpha1.Validate(dataset); len(errs) > 0 {
		declared.DatasetInvalid = true
		message := fmt.Sprintf("the spec of Dataset %q is invalid: %s", dataset.Name, errorMessage(errs.ToAggregate()))
		if e := r.status.Effective; e != nil && e.Dataset != nil && e.Dataset.Name == dataset.Name {
			r.setCondition(v1alpha1.RuntimeDatasetBound, true, reasonDatasetInvalid, message+"; it is served as before this edit")
			return nil
		}
		r.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonDatasetInvalid, message)
		return nil
	}
	declared.Dataset = dataset
	r.setCondition(v1alpha1.RuntimeDatasetBound, true, reasonBound, fmt.Sprintf("bound to Dataset %q", dataset.Name))
	return nil
}

// serving returns the name of the runtime that serves a Dataset. The webhook rejects
// a second one, but may have been unavailable. The Dataset controller uses the same rule.
func (d declarations) serving(ctx context.Context, runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset) (string, error) {
	var list v1alpha1.JindoRuntimeList
	if err := d.client.List(ctx, &list, client.InNamespace(runtime.Namespace)); err != nil {
		return "", fmt.Errorf("list JindoRuntimes of Dataset %s: %w", dataset.Name, err)
	}
	runtimes := []*v1alpha1.JindoRuntime{runtime}
	for i := range list.Items {
		if list.Items[i].Name != runtime.Name {
			runtimes = append(runtimes, &list.Items[i])
		}
	}
	return plan.Serving(dataset, runtimes).Name, nil
}

// unboundReason tells the user how to bind the runtime, preferably to a Dataset of the
// namespace that no runtime serves.
func (d declarations) unboundReason(ctx context.Context, runtime *v1alpha1.JindoRuntime) (string, error) {
	otherwise := plan.UnboundReason(nil, runtime)
	datasets, runtimes := &v1alpha1.DatasetList{}, &v1alpha1.JindoRuntimeList{}
	here := client.InNamespace(runtime.Namespace)
	if err := errors.Join(d.client.List(ctx, datasets, here), d.client.List(ctx, runtimes, here)); err != nil {
		return otherwise, fmt.Errorf("list Datasets and JindoRuntimes: %w", err)
	}
	slices.SortFunc(datasets.Items, func(a, b v1alpha1.Dataset) int { return strings.Compare(a.Name, b.Name) })
	for i := range datasets.Items {
		served := slices.ContainsFunc(runtimes.Items, func(r v1alpha1.JindoRuntime) bool { return plan.Bound(&datasets.Items[i], &r) })
		// An invalid Dataset may belong to another runtime of Fluid.
		if errs, _ := v1alpha1.Validate(&datasets.Items[i]); !served && len(errs) == 0 {
			return plan.UnboundReason(&datasets.Items[i], runtime), nil
		}
	}
	return otherwise, nil
}
