// Package validation validates Datasets, JindoRuntimes and DataLoads against the
// other objects of their namespace. The rules about one object alone are those of
// [v1alpha1.Validate].
//
// An object that can never work has an error, which says what to write instead.
// An object that does not work yet, or whose related objects cannot be read, has
// a warning, because objects may be created in any order. Nothing is written, and
// no value of a Secret is disclosed.
//
// A Dataset is subject to these rules only if a JindoRuntime claims it. Otherwise
// it may belong to another runtime of Fluid, and all findings are warnings.
package validation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/plan"
)

// timeout limits all requests to the API server about one object.
const timeout = 3 * time.Second

// CheckChange validates an object that is to replace old, which is nil for a new
// object. A rule that old violates as well results in a warning, so that an
// unrelated part of an invalid object can be changed. The error is an aggregate of
// [*field.Error].
//
// For a Dataset, the result includes that of [v1alpha1.Validate] if a
// JindoRuntime claims it, and that of [v1alpha1.ValidateUnclaimed] otherwise.
// Callers validate other kinds themselves.
//
// An edit that can never be carried out on what exists is an error, too, with what to do
// instead.
//
// It reads no Secret, so that a service that validates for all namespaces needs no
// right to: a key that is missing is reported by the conditions of the objects.
func CheckChange(ctx context.Context, reader client.Reader, old, object client.Object) ([]string, error) {
	return checkChange(ctx, reader, old, object, false)
}

// CheckChangeWithSecrets is CheckChange for a caller with the rights of the user: it
// also checks that referenced Secrets exist and have the keys.
func CheckChangeWithSecrets(ctx context.Context, reader client.Reader, old, object client.Object) ([]string, error) {
	return checkChange(ctx, reader, old, object, true)
}

func checkChange(ctx context.Context, reader client.Reader, old, object client.Object, readSecrets bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := &check{reader: reader, namespace: object.GetNamespace(), readSecrets: readSecrets, before: map[secretKey]bool{}}
	switch o := object.(type) {
	case *v1alpha1.Dataset:
		before, _ := old.(*v1alpha1.Dataset)
		c.before = keysOf(before)
		c.dataset(ctx, before, o)
		if before != nil {
			c.datasetChange(ctx, before, o)
		}
	case *v1alpha1.JindoRuntime:
		before, _ := old.(*v1alpha1.JindoRuntime)
		c.runtime(ctx, before, o)
		if before != nil {
			c.runtimeChange(ctx, before, o)
		}
	case *v1alpha1.DataLoad:
		c.dataLoad(ctx, o)
		if before, _ := old.(*v1alpha1.DataLoad); before != nil {
			c.dataLoadChange(ctx, before, o)
		}
	}
	return c.warnings, c.errs.ToAggregate()
}

// check collects the findings about one object.
type check struct {
	reader    client.Reader
	namespace string
	// readSecrets reports whether referenced Secrets are read.
	readSecrets bool
	// before holds the keys of Secrets that the old object refers to.
	before   map[secretKey]bool
	warnings []string
	errs     field.ErrorList
}

func (c *check) warn(path *field.Path, format string, args ...any) {
	c.warnings = append(c.warnings, path.String()+": "+fmt.Sprintf(format, args...))
}

func (c *check) dataset(ctx context.Context, old, dataset *v1alpha1.Dataset) {
	runtimes := c.claimants(ctx, dataset.Name)
	if len(runtimes) == 0 {
		c.unclaimedDataset(ctx, dataset)
		return
	}
	errs, warnings := v1alpha1.Validate(dataset)
	c.warnings = append(c.warnings, warnings...)
	c.refuse(errs, old)
	c.datasetReferences(ctx, dataset)
	c.snapshotMount(dataset, plan.Serving(dataset, runtimes))
	if old == nil && len(runtimes) > 1 {
		serving := plan.Serving(dataset, runtimes)
		c.warn(field.NewPath("metadata", "name"), "JindoRuntimes %s claim this Dataset, and only %s, the oldest, will serve it: delete the others, or name other Datasets in their annotation %s",
			namesOf(runtimes), serving.Name, v1alpha1.DatasetAnnotation)
	}
}

// refuse adds the errors of a claimed Dataset. Those that old has too become
// warnings: it may have been created before a JindoRuntime claimed it.
func (c *check) refuse(errs field.ErrorList, old *v1alpha1.Dataset) {
	earlier := map[string]bool{}
	if old != nil {
		before, _ := v1alpha1.Validate(old)
		for _, err := range before {
			earlier[err.Error()] = true
		}
	}
	for _, err := range errs {
		if earlier[err.Error()] {
			c.warnings = append(c.warnings, err.Error())
			continue
		}
		c.errs = append(c.errs, err)
	}
}

// unclaimedDataset warns of what a JindoRuntime would reject.
func (c *check) unclaimedDataset(ctx context.Context, dataset *v1alpha1.Dataset) {
	c.warnings = append(c.warnings, v1alpha1.ValidateUnclaimed(dataset)...)
	c.datasetReferences(ctx, dataset)
	for _, err := range c.errs {
		c.warnings = append(c.warnings, "a JindoRuntime could not serve this Dataset: "+err.Error())
	}
	c.errs = nil
}

// datasetReferences checks the size of the claim and the referenced Secrets.
func (c *check) datasetReferences(ctx context.Context, dataset *v1alpha1.Dataset) {
	if _, err := v1alpha1.ClaimSize(dataset); err != nil {
		path := field.NewPath("metadata", "annotations").Key(v1alpha1.PVCStorageAnnotation)
		c.errs = append(c.errs, field.Invalid(path, dataset.Annotations[v1alpha1.PVCStorageAnnotation], "not a valid size of a PersistentVolumeClaim: write it like 100Gi"))
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
}

// claimants returns the runtimes that name a Dataset, sorted by name and without
// those that are being deleted. If they cannot be listed, it returns none: the
// condition of the runtime will report what is wrong.
func (c *check) claimants(ctx context.Context, dataset string) []*v1alpha1.JindoRuntime {
	var list v1alpha1.JindoRuntimeList
	if err := c.reader.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		c.warnings = append(c.warnings, fmt.Sprintf("could not determine which JindoRuntimes claim Dataset %s: list JindoRuntimes: %v", dataset, err))
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
	c.claimedDataset(ctx, old, runtime)
	c.snapshots(ctx, old, runtime)
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

// claimedDataset warns of what prevents a runtime from serving the Dataset that
// it newly claims. The Dataset can still be corrected.
func (c *check) claimedDataset(ctx context.Context, old, runtime *v1alpha1.JindoRuntime) {
	name := plan.DatasetName(runtime)
	if old != nil && plan.DatasetName(old) == name {
		return
	}
	dataset := &v1alpha1.Dataset{}
	if err := c.reader.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, dataset); err != nil {
		return // it may be created later, and the condition DatasetBound reports errors
	}
	errs, warnings := v1alpha1.Validate(dataset)
	for _, err := range errs {
		c.warnings = append(c.warnings, fmt.Sprintf("Dataset %s cannot be served: %v", name, err))
	}
	for _, warning := range warnings {
		c.warnings = append(c.warnings, fmt.Sprintf("Dataset %s: %s", name, warning))
	}
}

// claimedOnce rejects a second runtime of one Dataset.
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
		c.warn(path, "Dataset %s not found in namespace %s: create it", name, c.namespace)
	case err != nil:
		c.warn(path, "could not determine whether Dataset %s exists: %v", name, err)
	}
}
