// Package validation holds the rules about Datasets, JindoRuntimes and
// DataLoads that need a look at other objects; those about one object alone are
// [v1alpha1.Validate]'s.
//
// What can never work is an error, a sentence that says what to write instead.
// What does not work yet, or cannot be looked at, is a warning: objects may be
// created in any order. Nothing is written, and no value of a Secret is told.
package validation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/plan"
)

// Check holds an object that is to be created against what is there. The error
// is a [field.ErrorList] as an aggregate.
func Check(ctx context.Context, reader client.Reader, object client.Object) ([]string, error) {
	return CheckChange(ctx, reader, nil, object)
}

// CheckChange holds an object that is to take the place of old against what is
// there; old is nil for one that is new. A rule that old broke as well is only
// warned of, so that whoever mends something else may.
func CheckChange(ctx context.Context, reader client.Reader, old, object client.Object) ([]string, error) {
	c := &check{reader: reader, namespace: object.GetNamespace(), change: old != nil, before: map[secretKey]bool{}}
	switch o := object.(type) {
	case *v1alpha1.Dataset:
		before, _ := old.(*v1alpha1.Dataset)
		c.before = keysOf(before)
		c.dataset(ctx, o)
		if before != nil {
			c.datasetChange(before, o)
		}
	case *v1alpha1.JindoRuntime:
		before, _ := old.(*v1alpha1.JindoRuntime)
		c.runtime(ctx, before, o)
		if before != nil {
			c.runtimeChange(before, o)
		}
	case *v1alpha1.DataLoad:
		c.dataLoad(ctx, o)
	}
	return c.warnings, c.errs.ToAggregate()
}

// check collects what is found.
type check struct {
	reader    client.Reader
	namespace string
	change    bool
	// before are the keys of Secrets that the old object names.
	before   map[secretKey]bool
	warnings []string
	errs     field.ErrorList
}

func (c *check) warn(path *field.Path, format string, args ...any) {
	c.warnings = append(c.warnings, path.String()+": "+fmt.Sprintf(format, args...))
}

func (c *check) dataset(ctx context.Context, dataset *v1alpha1.Dataset) {
	if _, err := datasetvolume.Size(dataset); err != nil {
		path := field.NewPath("metadata", "annotations").Key(v1alpha1.PVCStorageAnnotation)
		c.errs = append(c.errs, field.Invalid(path, dataset.Annotations[v1alpha1.PVCStorageAnnotation], "is no size of a claim: write it like 100Gi"))
	}
	secrets := c.secrets()
	spec := field.NewPath("spec")
	for i, option := range dataset.Spec.SharedEncryptOptions {
		secrets.key(ctx, spec.Child("sharedEncryptOptions").Index(i), option)
	}
	for i, mount := range dataset.Spec.Mounts {
		for n, option := range mount.EncryptOptions {
			secrets.key(ctx, spec.Child("mounts").Index(i).Child("encryptOptions").Index(n), option)
		}
	}
	if c.change {
		return
	}
	if runtimes := c.claimants(ctx, dataset.Name); len(runtimes) > 1 {
		serving := plan.Serving(dataset, runtimes)
		c.warn(field.NewPath("metadata", "name"), "JindoRuntimes %s claim this Dataset, and only %s, the oldest, will serve it: delete the others, or name other Datasets in their annotation %s",
			namesOf(runtimes), serving.Name, v1alpha1.DatasetAnnotation)
	}
}

// claimants are the runtimes that name a Dataset, but those being deleted. A
// cluster that does not answer shows none: the reconciler's condition tells.
func (c *check) claimants(ctx context.Context, dataset string) []*v1alpha1.JindoRuntime {
	var list v1alpha1.JindoRuntimeList
	if err := c.reader.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		c.warnings = append(c.warnings, fmt.Sprintf("whether several JindoRuntimes claim Dataset %s is not known: listing them: %v", dataset, err))
		return nil
	}
	var found []*v1alpha1.JindoRuntime
	for i := range list.Items {
		if r := &list.Items[i]; r.DeletionTimestamp == nil && plan.DatasetName(r) == dataset {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *v1alpha1.JindoRuntime) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func namesOf(runtimes []*v1alpha1.JindoRuntime) string {
	words := make([]string, len(runtimes))
	for i, r := range runtimes {
		words[i] = r.Name
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func (c *check) runtime(ctx context.Context, old, runtime *v1alpha1.JindoRuntime) {
	c.claimedOnce(ctx, old, runtime)
	if name := runtime.Spec.Secret; name != "" {
		path := field.NewPath("spec", "secret")
		secrets := c.secrets()
		for _, key := range []string{"AccessKeyId", "AccessKeySecret"} {
			if old != nil && old.Spec.Secret == name {
				c.before[secretKey{name, key}] = true
			}
			secrets.has(ctx, path, secretKey{name, key})
		}
	}
}

// claimedOnce refuses a second runtime of one Dataset.
func (c *check) claimedOnce(ctx context.Context, old, runtime *v1alpha1.JindoRuntime) {
	dataset := plan.DatasetName(runtime)
	for _, other := range c.claimants(ctx, dataset) {
		if other.Name == runtime.Name {
			continue
		}
		path := field.NewPath("metadata", "annotations").Key(v1alpha1.DatasetAnnotation)
		if _, annotated := runtime.Annotations[v1alpha1.DatasetAnnotation]; !annotated {
			path = field.NewPath("metadata", "name")
		}
		if old != nil && plan.DatasetName(old) == dataset {
			c.warn(path, "JindoRuntime %s claims Dataset %s as well, and the older of the two serves it: delete one, or name another Dataset in its annotation %s",
				other.Name, dataset, v1alpha1.DatasetAnnotation)
			continue
		}
		c.errs = append(c.errs, field.Invalid(path, dataset, fmt.Sprintf(
			"JindoRuntime %s claims this Dataset already, and a Dataset is served by one: delete that JindoRuntime first, or name another Dataset in this one's annotation %s",
			other.Name, v1alpha1.DatasetAnnotation)))
	}
}

func (c *check) dataLoad(ctx context.Context, load *v1alpha1.DataLoad) {
	name := load.Spec.Dataset.Name
	if name == "" {
		return
	}
	path := field.NewPath("spec", "dataset", "name")
	err := c.reader.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, &v1alpha1.Dataset{})
	switch {
	case apierrors.IsNotFound(err):
		c.warn(path, "there is no Dataset %s in namespace %s yet: create it", name, c.namespace)
	case err != nil:
		c.warn(path, "whether there is a Dataset %s is not known: %v", name, err)
	}
}
