package v1alpha1

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// storeOptionNames returns the options, behind "fs.SCHEME.", that the drivers of
// oss:// and s3:// read. A test compares them with the drivers' sources.
func storeOptionNames(scheme string) []string {
	names := []string{accessKeyID, accessKeySecret, securityToken, "endpoint", "pathStyle", "region"}
	switch scheme {
	case "oss":
		return names
	case "s3":
		return append(names, "conditions")
	}
	return nil
}

// knownOptions returns all options that have a meaning for mounts of a scheme.
func knownOptions(scheme string) []string {
	known := slices.Clone(cacheOptionNames())
	for _, name := range storeOptionNames(scheme) {
		known = append(known, "fs."+scheme+"."+name)
	}
	return known
}

// unknownOptions warns of options of one mount that its driver does not read.
func (f *findings) unknownOptions(path *field.Path, scheme string, mount *Mount) {
	if !SchemeSupported(scheme) {
		return // nothing is known about the options of such a store
	}
	known := knownOptions(scheme)
	for name := range sorted(mount.Options) {
		f.unknownOption(path.Child("options").Key(name), name, known, scheme)
	}
	for i, option := range mount.EncryptOptions {
		f.unknownOption(path.Child("encryptOptions").Index(i).Child("name"), option.Name, known, scheme)
	}
}

// unknownSharedOptions warns of shared options that no mount reads.
func (f *findings) unknownSharedOptions(path *field.Path, spec *DatasetSpec) {
	var known []string
	scheme := ""
	for _, mount := range spec.Mounts {
		scheme = Scheme(mount.MountPoint)
		if !SchemeSupported(scheme) {
			return
		}
		known = append(known, knownOptions(scheme)...)
	}
	for name := range sorted(spec.SharedOptions) {
		f.unknownOption(path.Child("sharedOptions").Key(name), name, known, scheme)
	}
	for i, option := range spec.SharedEncryptOptions {
		f.unknownOption(path.Child("sharedEncryptOptions").Index(i).Child("name"), option.Name, known, scheme)
	}
}

// unknownOption warns of an option that is not among the known ones, with the
// known one whose name is nearest. scheme is that of a mount the option is for.
func (f *findings) unknownOption(path *field.Path, name string, known []string, scheme string) {
	if name == "" || slices.Contains(known, name) || misspelled(name) != "" {
		return // valid, or reported as an error
	}
	if last := name[strings.LastIndex(name, ".")+1:]; ForeignOption(name, scheme) {
		if own := "fs." + scheme + "." + last; slices.Contains(known, own) {
			f.warn(path, "has no effect on a mount of %s://: write %s", scheme, own)
			return
		}
		f.warn(path, "has no effect on a mount of %s://: remove it", scheme)
		return
	}
	if nearest := nearest(name, known); nearest != "" {
		f.warn(path, "unknown option, which has no effect: did you mean %s?", nearest)
		return
	}
	f.warn(path, "unknown option, which has no effect: remove it, or write one of %s", enumerate(known))
}

// nearest returns the known name with the smallest edit distance from name,
// regardless of case; empty when none differs in less than a third of its
// characters.
func nearest(name string, known []string) string {
	best, distance := "", len(name)/3
	for _, candidate := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}
