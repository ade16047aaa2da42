// Package manifest reads the manifests that commands are given with -f and -k.
// Decoding is strict, objects are checked by the validator that the webhook and
// the reconcilers use, and every error names the file.
package manifest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/plan"
)

// Set holds the objects of all sources in their order, each in its namespace.
type Set struct {
	Datasets []*v1alpha1.Dataset
	Runtimes []*v1alpha1.JindoRuntime
	Loads    []*v1alpha1.DataLoad
	Secrets  []*corev1.Secret
	// Objects holds every object.
	Objects []runtime.Object
	// Given holds the fields of every object exactly as they were written, in the
	// order of Objects.
	Given []*unstructured.Unstructured
	// Warnings holds the warnings of the validator.
	Warnings []string
}

// Options configures Read.
type Options struct {
	Sources
	// Stdin is read for the file "-".
	Stdin io.Reader
	// Namespace is the value of --namespace, or "".
	Namespace string
	// DefaultNamespace is the namespace of objects that name none.
	DefaultNamespace string
	// Partial leaves out validation: the objects may lack required fields.
	Partial bool
}

// Read reads, decodes and validates all manifests.
func Read(ctx context.Context, options Options) (*Set, error) {
	files, err := options.Read(ctx, options.Stdin)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	var datasets []fileDataset
	for _, file := range files {
		before := len(set.Datasets)
		if err := set.addFile(file, options); err != nil {
			return nil, clierror.Usagef("%s: %w", file.Name, err)
		}
		for _, dataset := range set.Datasets[before:] {
			datasets = append(datasets, fileDataset{file.Name, dataset})
		}
	}
	if options.Partial {
		return set, nil
	}
	return set, set.validateDatasets(datasets)
}

// fileDataset is a Dataset and the name of its file.
type fileDataset struct {
	file    string
	dataset *v1alpha1.Dataset
}

// validateDatasets validates the Datasets after all files have been read. A Dataset
// that no JindoRuntime among the manifests claims may belong to another runtime of
// Fluid, so its errors are warnings. If a JindoRuntime in the cluster claims it, it is
// validated before it is sent.
func (s *Set) validateDatasets(datasets []fileDataset) error {
	for _, d := range datasets {
		if !slices.ContainsFunc(s.Runtimes, func(r *v1alpha1.JindoRuntime) bool { return plan.Bound(d.dataset, r) }) {
			checked := d.dataset.DeepCopy()
			v1alpha1.SetDefaults(checked)
			s.Warnings = append(s.Warnings, v1alpha1.ValidateUnclaimed(checked)...)
			continue
		}
		if err := s.validate(d.dataset, d.dataset.Name); err != nil {
			return clierror.Usagef("%s: %w", d.file, err)
		}
	}
	return nil
}

func (s *Set) addFile(file File, options Options) error {
	objects, err := v1alpha1.Decode(file.Raw)
	if err != nil {
		return err
	}
	given, err := decodeGiven(file.Raw)
	if err != nil {
		return err
	}
	if len(given) != len(objects) {
		return fmt.Errorf("%d objects are separated by ---, and %d were decoded: write a line of --- between objects", len(given), len(objects))
	}
	for i, object := range objects {
		if err := s.add(object, given[i], options); err != nil {
			return err
		}
	}
	return nil
}

// decodeGiven decodes the objects without their types. Lists are taken apart.
func decodeGiven(raw []byte) ([]*unstructured.Unstructured, error) {
	var given []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return given, nil
		}
		if err != nil {
			return nil, fmt.Errorf("splitting YAML: %w", err)
		}
		asJSON, err := utilyaml.ToJSON(text)
		if err != nil {
			return nil, fmt.Errorf("decoding YAML: %w", err)
		}
		if bytes.Equal(bytes.TrimSpace(asJSON), []byte("null")) {
			continue
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(asJSON); err != nil {
			return nil, fmt.Errorf("decoding an object: %w", err)
		}
		if !u.IsList() {
			given = append(given, u)
			continue
		}
		if err := u.EachListItem(func(item runtime.Object) error {
			if listed, ok := item.(*unstructured.Unstructured); ok {
				given = append(given, listed)
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("decoding a list: %w", err)
		}
	}
}

func (s *Set) add(object runtime.Object, given *unstructured.Unstructured, options Options) error {
	meta, ok := object.(metav1.Object)
	if !ok {
		return fmt.Errorf("an object has no metadata")
	}
	if err := place(meta, options); err != nil {
		return err
	}
	if meta.GetNamespace() != "" {
		given.SetNamespace(meta.GetNamespace())
	}
	if _, dataset := object.(*v1alpha1.Dataset); !dataset && !options.Partial { // Read validates Datasets
		if err := s.validate(object, meta.GetName()); err != nil {
			return err
		}
	}
	s.Objects = append(s.Objects, object)
	s.Given = append(s.Given, given)
	switch o := object.(type) {
	case *v1alpha1.Dataset:
		s.Datasets = append(s.Datasets, o)
	case *v1alpha1.JindoRuntime:
		s.Runtimes = append(s.Runtimes, o)
	case *v1alpha1.DataLoad:
		s.Loads = append(s.Loads, o)
	case *corev1.Secret:
		s.Secrets = append(s.Secrets, o)
	}
	return nil
}

// place sets the namespace of an object. As in kubectl, an object in another
// namespace than --namespace is an error.
func place(meta metav1.Object, options Options) error {
	switch {
	case meta.GetNamespace() == "" && options.Namespace != "":
		meta.SetNamespace(options.Namespace)
	case meta.GetNamespace() == "":
		meta.SetNamespace(options.DefaultNamespace)
	case options.Namespace != "" && options.Namespace != meta.GetNamespace():
		return fmt.Errorf("the namespace %q of %q does not match --namespace %q", meta.GetNamespace(), meta.GetName(), options.Namespace)
	}
	return nil
}

// validate checks a copy of the object with its defaults; the object itself stays
// as it was written.
func (s *Set) validate(object runtime.Object, name string) error {
	if _, secret := object.(*corev1.Secret); secret {
		return nil // the keys that it must hold depend on the objects that refer to it
	}
	warnings, err := Validate(object, name)
	s.Warnings = append(s.Warnings, warnings...)
	return err
}

// Validate checks a copy of the object with its defaults. The error lists every
// invalid field, a line each.
func Validate(object runtime.Object, name string) (warnings []string, err error) {
	checked := object.DeepCopyObject()
	v1alpha1.SetDefaults(checked)
	errs, warnings := v1alpha1.Validate(checked)
	if len(errs) == 0 {
		return warnings, nil
	}
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = e.Error()
	}
	kind := object.GetObjectKind().GroupVersionKind().Kind
	if len(lines) == 1 {
		return warnings, fmt.Errorf("%s %q is invalid: %s", kind, name, lines[0])
	}
	return warnings, fmt.Errorf("%s %q is invalid:\n  %s", kind, name, strings.Join(lines, "\n  "))
}
