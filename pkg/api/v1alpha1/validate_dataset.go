package v1alpha1

import (
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxMounts is the maximum number of mounts of a Dataset.
const maxMounts = 128

func (f *findings) dataset(spec *DatasetSpec) {
	path := field.NewPath("spec")
	if len(spec.Mounts) == 0 {
		f.required(path.Child("mounts"), "write at least one mount, such as - mountPoint: oss://bucket/")
	}
	for i := range spec.Mounts {
		f.mount(path.Child("mounts").Index(i), spec, &spec.Mounts[i])
	}
	if len(spec.Mounts) > maxMounts {
		f.errs = append(f.errs, field.TooMany(path.Child("mounts"), len(spec.Mounts), maxMounts))
	} else {
		f.uniqueMounts(path.Child("mounts"), spec)
	}
	f.optionNames(path.Child("sharedOptions"), spec.SharedOptions)
	f.encryptOptions(path.Child("sharedEncryptOptions"), spec.SharedEncryptOptions, spec.SharedOptions)
	f.unknownSharedOptions(path, spec)
	f.accessModes(path.Child("accessModes"), spec)
	f.user(path.Child("owner"), spec.Owner)
	oneOf(f, path.Child("placement"), spec.PlacementMode, ExclusiveMode, SharedMode, DefaultMode)
}

func (f *findings) accessModes(path *field.Path, spec *DatasetSpec) {
	modes := spec.AccessModes
	for i, mode := range modes {
		oneOf(f, path.Index(i), mode, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
	}
	switch {
	case len(modes) > 1 && slices.Contains(modes, corev1.ReadOnlyMany):
		f.warn(path, "ReadOnlyMany makes the whole Dataset read-only, whatever the other modes are: write it alone")
	case !spec.ReadOnly() && ServedAccess(false) == AccessReadOnly:
		f.warn(path, "writing is not supported yet: the mounts are served read-only, and every write fails with EROFS")
	}
}

func (f *findings) user(path *field.Path, user *User) {
	if user == nil {
		return
	}
	id := func(path *field.Path, id *int64) {
		if id != nil && len(validation.IsValidUserID(*id)) > 0 {
			f.invalid(path, *id, "not a valid user or group ID: write a number from 0 to 2147483647")
		}
	}
	id(path.Child("uid"), user.UID)
	id(path.Child("gid"), user.GID)
}

// uniqueMounts checks names and paths after defaulting, so that a given name
// cannot collide with a generated one.
func (f *findings) uniqueMounts(at *field.Path, spec *DatasetSpec) {
	defaulted := spec.DeepCopy()
	defaultDataset(defaulted)
	names := map[string]int{}
	for i, m := range defaulted.Mounts {
		if first, taken := names[m.Name]; taken {
			f.invalid(at.Index(i).Child("name"), m.Name, "also the name of mounts[%d]: write another name for one of them", first)
			continue
		}
		names[m.Name] = i
	}
	f.separatePaths(at, defaulted.Mounts, names)
}

// separatePaths checks that no path of a mount equals or contains another.
func (f *findings) separatePaths(at *field.Path, mounts []Mount, names map[string]int) {
	byPath := map[string]int{}
	for i, m := range mounts {
		if names[m.Name] != i { // reported for its name
			continue
		}
		if first, taken := byPath[m.Path]; taken {
			f.invalid(at.Index(i).Child("path"), m.Path, "also the path of mounts[%d]: write another path for one of them", first)
			continue
		}
		byPath[m.Path] = i
	}
	for i, m := range mounts {
		if len(m.Path) > maxMountPath {
			continue // reported, and the time of the loop is quadratic in its length
		}
		for dir := m.Path; path.IsAbs(dir) && dir != "/"; {
			dir = path.Dir(dir)
			if outer, taken := byPath[dir]; taken && byPath[m.Path] == i {
				f.invalid(at.Index(i).Child("path"), m.Path, "inside %q, the path of mounts[%d]: write paths that do not contain each other, such as /%s and /%s",
					dir, outer, mounts[outer].Name, m.Name)
				break
			}
		}
	}
}

// sorted iterates over a map in the order of its keys, so that errors have a
// stable order.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// cleanPath returns p as a clean absolute path.
func cleanPath(p string) string { return path.Clean("/" + strings.TrimSpace(p)) }
