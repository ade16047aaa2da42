// Package manifest reads the files that commands are given: strictly, with the
// one validator, and with errors that name the file.
package manifest

import (
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/input"
)

// maxSize of one file in bytes.
const maxSize = 1 << 20

// Set is what the files hold, in their order, each object in its namespace.
type Set struct {
	Datasets []*v1alpha1.Dataset
	Runtimes []*v1alpha1.JindoRuntime
	Loads    []*v1alpha1.DataLoad
	Secrets  []*corev1.Secret
	// Objects are all of them.
	Objects []runtime.Object
	// Warnings of the validator.
	Warnings []string
}

// Options of Read.
type Options struct {
	Files []string
	// Stdin is read for the file "-".
	Stdin io.Reader
	// Namespace asked for on the command line; "" when none was.
	Namespace string
	// DefaultNamespace of objects that name none.
	DefaultNamespace string
}

// Read reads and validates all files.
func Read(options Options) (*Set, error) {
	set := &Set{}
	for _, file := range options.Files {
		raw, err := input.Read(file, options.Stdin, maxSize)
		if err != nil {
			return nil, err
		}
		objects, err := v1alpha1.Decode(raw)
		if err != nil {
			return nil, clierror.Usagef("%s: %w", input.Name(file), err)
		}
		for _, object := range objects {
			if err := set.add(object, options); err != nil {
				return nil, clierror.Usagef("%s: %w", input.Name(file), err)
			}
		}
	}
	return set, nil
}

func (s *Set) add(object runtime.Object, options Options) error {
	meta, ok := object.(metav1.Object)
	if !ok {
		return fmt.Errorf("an object has no metadata")
	}
	if err := place(meta, options); err != nil {
		return err
	}
	if err := s.validate(object, meta.GetName()); err != nil {
		return err
	}
	s.Objects = append(s.Objects, object)
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

// place gives an object its namespace; one that names another than was asked
// for is refused, as kubectl does.
func place(meta metav1.Object, options Options) error {
	switch {
	case meta.GetNamespace() == "" && options.Namespace != "":
		meta.SetNamespace(options.Namespace)
	case meta.GetNamespace() == "":
		meta.SetNamespace(options.DefaultNamespace)
	case options.Namespace != "" && options.Namespace != meta.GetNamespace():
		return fmt.Errorf("%q is in namespace %q, and --namespace says %q", meta.GetName(), meta.GetNamespace(), options.Namespace)
	}
	return nil
}

// validate checks an object as it is with its defaults, and keeps it as it was
// written.
func (s *Set) validate(object runtime.Object, name string) error {
	if _, secret := object.(*corev1.Secret); secret {
		return nil // what it must hold is known by whoever refers to it
	}
	warnings, err := Validate(object, name)
	s.Warnings = append(s.Warnings, warnings...)
	return err
}

// Validate checks one object with its defaults; all that is wrong with it is
// in the error, a line each.
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
		return warnings, fmt.Errorf("%s %q is not valid: %s", kind, name, lines[0])
	}
	return warnings, fmt.Errorf("%s %q is not valid:\n  %s", kind, name, strings.Join(lines, "\n  "))
}
