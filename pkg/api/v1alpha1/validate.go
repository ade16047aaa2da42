package v1alpha1

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxRuntimeName: "NAME-jindofs-master" is a StatefulSet, whose name may have
// 52 characters before its pods' labels become too long.
const maxRuntimeName = 52 - len("-jindofs-master")

// Validate says what is wrong with a Dataset, JindoRuntime or DataLoad, with
// its defaults or without, and warns of what is accepted but does nothing or
// shows a credential. Each error is a sentence that names the field, the value
// (never a credential) and what to write instead. A valid object has no errors.
func Validate(object runtime.Object) (field.ErrorList, []string) {
	f := &findings{}
	switch o := object.(type) {
	case *Dataset:
		f.datasetMeta(o.ObjectMeta)
		f.dataset(&o.Spec)
		f.withoutEffect(DatasetKind, o)
	case *JindoRuntime:
		f.runtimeMeta(o.ObjectMeta)
		f.runtime(&o.Spec)
		f.withoutEffect(JindoRuntimeKind, o)
	case *DataLoad:
		f.name(o.ObjectMeta)
		f.dataLoad(&o.Spec, o.Namespace)
		f.withoutEffect(DataLoadKind, o)
	default:
		f.errs = append(f.errs, field.InternalError(nil, fmt.Errorf("a %T cannot be validated here", object)))
	}
	return f.errs, f.warnings
}

// findings collects errors and warnings.
type findings struct {
	errs     field.ErrorList
	warnings []string
}

// maxValue bounds how much of a value an error repeats.
const maxValue = 128

func (f *findings) invalid(path *field.Path, value any, format string, args ...any) {
	if text, ok := value.(string); ok && len(text) > maxValue {
		text = text[:maxValue]
		for !utf8.ValidString(text) && len(text) > maxValue-utf8.UTFMax {
			text = text[:len(text)-1]
		}
		value = text + "…"
	}
	f.errs = append(f.errs, field.Invalid(path, value, fmt.Sprintf(format, args...)))
}

func (f *findings) required(path *field.Path, format string, args ...any) {
	f.errs = append(f.errs, field.Required(path, fmt.Sprintf(format, args...)))
}

func (f *findings) forbidden(path *field.Path, format string, args ...any) {
	f.errs = append(f.errs, field.Forbidden(path, fmt.Sprintf(format, args...)))
}

func (f *findings) warn(path *field.Path, format string, args ...any) {
	f.warnings = append(f.warnings, path.String()+": "+fmt.Sprintf(format, args...))
}

// oneOf refuses a value that is not among those allowed.
func oneOf[T ~string](f *findings, path *field.Path, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	var words []string
	for _, a := range allowed {
		if a != "" {
			words = append(words, string(a))
		}
	}
	advice := "write " + enumerate(words)
	if slices.Contains(allowed, "") {
		advice += ", or leave it out"
	}
	f.invalid(path, string(value), "is not one of the values there are: %s", advice)
}

// enumerate joins words: "A, B or C".
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func (f *findings) datasetMeta(meta metav1.ObjectMeta) {
	f.name(meta)
}

func (f *findings) runtimeMeta(meta metav1.ObjectMeta) {
	f.name(meta)
	path := field.NewPath("metadata")
	if len(meta.Name) > maxRuntimeName && len(validation.IsDNS1035Label(meta.Name)) == 0 {
		f.invalid(path.Child("name"), meta.Name, "has %d characters, but its StatefulSets and pods can only be named with at most %d: write a shorter name", len(meta.Name), maxRuntimeName)
	}
	name, annotated := meta.Annotations[DatasetAnnotation]
	if annotated && len(validation.IsDNS1035Label(name)) > 0 {
		f.invalid(path.Child("annotations").Key(DatasetAnnotation), name, "is no name of a Dataset: write its name in lower-case letters, digits and '-', starting with a letter")
	}
}

// name checks that an object's name can be a DNS label, which the names of its
// services and claims are made of.
func (f *findings) name(meta metav1.ObjectMeta) {
	path := field.NewPath("metadata")
	switch {
	case meta.Name == "" && meta.GenerateName == "":
		f.required(path.Child("name"), "write a name in lower-case letters, digits and '-', starting with a letter, such as hadoop")
	case meta.Name != "" && len(validation.IsDNS1035Label(meta.Name)) > 0:
		f.invalid(path.Child("name"), meta.Name, "cannot be a DNS name: write at most 63 lower-case letters, digits and '-', starting with a letter and not ending in '-', such as %s", suggestName(meta.Name))
	}
	if meta.Namespace != "" && len(validation.IsDNS1123Label(meta.Namespace)) > 0 {
		f.invalid(path.Child("namespace"), meta.Namespace, "is no name of a namespace: write at most 63 lower-case letters, digits and '-'")
	}
}

// suggestName makes a name that is allowed out of one that is not.
func suggestName(name string) string {
	mapped := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	mapped = strings.Trim(strings.TrimLeft(mapped, "0123456789-"), "-")
	if len(mapped) > maxRuntimeName {
		mapped = strings.TrimRight(mapped[:maxRuntimeName], "-")
	}
	if mapped == "" {
		return "hadoop"
	}
	return mapped
}

// absolutePath refuses what is no clean absolute path.
func (f *findings) absolutePath(path *field.Path, value string) {
	switch {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		f.invalid(path, value, "holds characters that no path has: write a path such as /data")
	case value != cleanPath(value):
		f.invalid(path, value, "is no clean absolute path: write %s", cleanPath(value))
	}
}

// labels refuses labels in the deprecated place and in the new one at once.
func (f *findings) labels(path *field.Path, deprecated map[string]string, metadata PodMetadata) {
	if len(deprecated) == 0 {
		return
	}
	if len(metadata.Labels) > 0 {
		f.forbidden(path.Child("labels"), "labels and podMetadata.labels exclude each other: write them all under podMetadata.labels")
		return
	}
	f.warn(path.Child("labels"), "is deprecated: write podMetadata.labels")
}

func (f *findings) pullPolicy(path *field.Path, policy string) {
	oneOf(f, path, corev1.PullPolicy(policy), corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever, "")
}

func (f *findings) env(path *field.Path, env map[string]string) {
	for name := range sorted(env) {
		if len(validation.IsEnvVarName(name)) > 0 {
			f.invalid(path.Key(name), name, "is no name of an environment variable: write letters, digits, '_', '-' and '.', not starting with a digit")
		}
	}
}
