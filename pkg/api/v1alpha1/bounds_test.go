package v1alpha1

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// has reports whether an error of that kind is about a field.
func has(errs field.ErrorList, kind field.ErrorType, at string) bool {
	return slices.ContainsFunc(errs, func(e *field.Error) bool { return e.Type == kind && e.Field == at })
}

// TestLargeObjectsAreRefused: an object of the largest size that the API server stores
// is refused without work that grows with its square, which would keep the controllers
// from the objects of other namespaces. Without the bounds these take from minutes to
// hours.
func TestLargeObjectsAreRefused(t *testing.T) {
	dataset := &Dataset{}
	dataset.Spec.Mounts = []Mount{{Name: "a", MountPoint: "oss://b/", Path: strings.Repeat("/a", 700_000)}}
	if errs, _ := Validate(dataset); !has(errs, field.ErrorTypeInvalid, "spec.mounts[0].path") {
		t.Errorf("a long path of a mount: %.500v", errs)
	}
	dataset.Spec.Mounts = slices.Repeat([]Mount{{MountPoint: "oss://b/"}}, 60_000)
	if errs, _ := Validate(dataset); !has(errs, field.ErrorTypeTooMany, "spec.mounts") {
		t.Errorf("many mounts: %.500v", errs)
	}

	paths := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("/%x", i))
		}
		return strings.Join(all, ",")
	}
	level := func(path string) Level {
		return Level{MediumType: MediumSSD, VolumeType: VolumeEmptyDir, Path: path, Quota: "100Gi"}
	}
	for _, test := range []struct {
		name   string
		levels []Level
		kind   field.ErrorType
		at     string
	}{
		{"a long list of paths", []Level{level(paths(40_000))}, field.ErrorTypeTooLong, "spec.tieredstore.levels[0].path"},
		{"many paths", []Level{level(paths(100)), level(paths(100))}, field.ErrorTypeTooMany, "spec.tieredstore.levels"},
		{"many levels", slices.Repeat([]Level{level("/a")}, 10_000), field.ErrorTypeTooMany, "spec.tieredstore.levels"},
	} {
		runtime := &JindoRuntime{}
		runtime.Spec.TieredStore.Levels = test.levels
		if errs, _ := Validate(runtime); !has(errs, test.kind, test.at) {
			t.Errorf("%s: %.500v", test.name, errs)
		}
	}
	runtime := &JindoRuntime{}
	runtime.Spec.Worker.VolumeMounts = slices.Repeat([]corev1.VolumeMount{{Name: "a", MountPath: "/a"}}, 40_000)
	if errs, _ := Validate(runtime); !has(errs, field.ErrorTypeTooMany, "spec.worker.volumeMounts") {
		t.Errorf("many volumeMounts: %.500v", errs)
	}
}

// TestNamesOfManyMounts: names remain unique, and the first free ones.
func TestNamesOfManyMounts(t *testing.T) {
	dataset := &Dataset{}
	dataset.Spec.Mounts = slices.Repeat([]Mount{{MountPoint: "oss://b/"}}, 100_000)
	dataset.Spec.Mounts[1].Name = "b-3"
	SetDefaults(dataset)
	names := map[string]bool{}
	for _, m := range dataset.Spec.Mounts {
		names[m.Name] = true
	}
	if len(names) != len(dataset.Spec.Mounts) || !names["b"] || !names["b-2"] || !names["b-100000"] {
		t.Errorf("%d names of %d mounts", len(names), len(dataset.Spec.Mounts))
	}
}
