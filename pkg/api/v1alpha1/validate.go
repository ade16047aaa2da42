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

// maxRuntimeName is the longest name of a JindoRuntime. "NAME-jindofs-master" is
// a StatefulSet, whose name may have 52 characters before the labels of its pods
// become too long.
const maxRuntimeName = 52 - len("-jindofs-master")

// Validate returns what is wrong with a Dataset, JindoRuntime or DataLoad, with
// or without its defaults, and warnings about fields that are accepted and have
// no effect, or that expose a credential. Each error names the field, the value
// (never a credential) and what to write instead. A valid object has no errors.
//
// A Dataset is validated as one that a JindoRuntime claims. For a Dataset that
// no JindoRuntime claims, use [ValidateUnclaimed].
func Validate(object runtime.Object) (field.ErrorList, []string) {
	f := validate(object)
	return f.errs, f.warnings
}

// ValidateUnclaimed returns warnings about a Dataset that no JindoRuntime claims.
// Such a Dataset may belong to another runtime of Fluid, with mount points and
// options that only that runtime understands, so it has no errors: what
// [Validate] reports as an error is a warning here, and warnings about features
// of the JindoRuntime are left out.
func ValidateUnclaimed(dataset *Dataset) []string {
	f := validate(dataset)
	warnings := f.anyRuntime
	for _, err := range f.errs {
		warnings = append(warnings, "a JindoRuntime could not serve this Dataset: "+err.Error())
	}
	return warnings
}

func validate(object runtime.Object) *findings {
	f := &findings{}
	switch o := object.(type) {
	case *Dataset:
		f.name(o.ObjectMeta)
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
		f.errs = append(f.errs, field.InternalError(nil, fmt.Errorf("validating a %T is not supported", object)))
	}
	return f
}

// findings collects errors and warnings.
type findings struct {
	errs     field.ErrorList
	warnings []string
	// anyRuntime holds the warnings that apply whichever runtime serves a
	// Dataset. They are in warnings too.
	anyRuntime []string
}

// maxValue is how many bytes of a value an error repeats.
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

// warnAnyRuntime adds a warning that applies whichever runtime serves a Dataset.
func (f *findings) warnAnyRuntime(path *field.Path, format string, args ...any) {
	f.warn(path, format, args...)
	f.anyRuntime = append(f.anyRuntime, f.warnings[len(f.warnings)-1])
}

// oneOf reports an error for a value that is not among the allowed ones.
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
		advice += ", or omit it"
	}
	f.invalid(path, string(value), "unsupported value: %s", advice)
}

// enumerate joins words: "A, B or C".
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func (f *findings) runtimeMeta(meta metav1.ObjectMeta) {
	f.name(meta)
	path := field.NewPath("metadata")
	if len(meta.Name) > maxRuntimeName && len(validation.IsDNS1035Label(meta.Name)) == 0 {
		f.invalid(path.Child("name"), meta.Name, "has %d characters, and the names of its StatefulSets and pods allow at most %d: write a shorter name", len(meta.Name), maxRuntimeName)
	}
	name, annotated := meta.Annotations[DatasetAnnotation]
	if annotated && len(validation.IsDNS1035Label(name)) > 0 {
		f.invalid(path.Child("annotations").Key(DatasetAnnotation), name, "not a valid Dataset name: write lower-case letters, digits and '-', starting with a letter")
	}
	if updates, annotated := meta.Annotations[UpdatesAnnotation]; annotated {
		oneOf(f, path.Child("annotations").Key(UpdatesAnnotation), updates, UpdatesAutomatic, UpdatesPaused)
	}
}

// name checks that the name of an object is a DNS label. The names of its
// services and claims are derived from it.
func (f *findings) name(meta metav1.ObjectMeta) {
	path := field.NewPath("metadata")
	switch {
	case meta.Name == "" && meta.GenerateName == "":
		f.required(path.Child("name"), "write a name in lower-case letters, digits and '-', starting with a letter, such as hadoop")
	case meta.Name != "" && len(validation.IsDNS1035Label(meta.Name)) > 0:
		f.invalid(path.Child("name"), meta.Name, "not a valid DNS label: write at most 63 lower-case letters, digits and '-', starting with a letter and not ending in '-', such as %s", suggestName(meta.Name))
	}
	if meta.Namespace != "" && len(validation.IsDNS1123Label(meta.Namespace)) > 0 {
		f.invalid(path.Child("namespace"), meta.Namespace, "not a valid namespace name: write at most 63 lower-case letters, digits and '-'")
	}
}

// suggestName returns a valid name that resembles an invalid one.
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

// absolutePath checks that a path is absolute and clean.
func (f *findings) absolutePath(path *field.Path, value string) {
	switch {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, isControl):
		f.invalid(path, value, "contains control characters or invalid UTF-8: write a path such as /data")
	case value != cleanPath(value):
		f.invalid(path, value, "not a clean absolute path: write %s", cleanPath(value))
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// labels checks that labels are not set in both the deprecated and the current
// field.
func (f *findings) labels(path *field.Path, deprecated map[string]string, metadata PodMetadata) {
	if len(deprecated) == 0 {
		return
	}
	if len(metadata.Labels) > 0 {
		f.forbidden(path.Child("labels"), "labels and podMetadata.labels are mutually exclusive: write them all under podMetadata.labels")
		return
	}
	f.warn(path.Child("labels"), "deprecated: write podMetadata.labels")
}

func (f *findings) pullPolicy(path *field.Path, policy string) {
	oneOf(f, path, corev1.PullPolicy(policy), corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever, "")
}

func (f *findings) env(path *field.Path, env map[string]string) {
	for name := range sorted(env) {
		if len(validation.IsEnvVarName(name)) > 0 {
			f.invalid(path.Key(name), name, "not a valid environment variable name: write letters, digits, '_', '-' and '.', not starting with a digit")
		}
	}
}
