package v1alpha1

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Schemes of mount points that are known, those without a driver included.
func Schemes() []string {
	return []string{"oss", "s3", "cos", "obs", "hdfs", "dls", "pvc", "local", "file"}
}

// SchemeSupported says whether mounts of a scheme can be served. The others are
// accepted, and their Dataset carries the condition MountUnsupported.
func SchemeSupported(scheme string) bool {
	return slices.Contains([]string{"oss", "s3", "local", "file"}, scheme)
}

// MountUnsupported says, for people, why a mount of this scheme is not served;
// it is empty for a scheme that is.
func MountUnsupported(scheme string) string {
	switch {
	case SchemeSupported(scheme):
		return ""
	case scheme == "pvc":
		return "pvc:// is accepted but not served yet: write the directory behind the claim as local:///directory"
	case scheme == "cos" || scheme == "obs":
		return fmt.Sprintf("%s:// is accepted but not served yet: if the store speaks S3, write s3://bucket/ and its fs.s3.endpoint", scheme)
	default:
		return fmt.Sprintf("%s:// is accepted but not served yet: mounts of oss://, s3://, local:/// and file:/// are", scheme)
	}
}

// Scheme of a mount point, in lower case; empty when it has none.
func Scheme(mountPoint string) string {
	scheme, _, found := strings.Cut(mountPoint, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

// isDirectory holds for schemes whose mount points are directories.
func isDirectory(scheme string) bool { return scheme == "local" || scheme == "file" }

// hasPlaceholder holds for text that still has a <PLACEHOLDER> of an example.
func hasPlaceholder(text string) bool {
	_, rest, open := strings.Cut(text, "<")
	return open && strings.Contains(rest, ">")
}

// nameFromMountPoint makes a name for a mount that has none: its bucket, or the
// last element of its directory.
func nameFromMountPoint(mountPoint string) string {
	_, rest, _ := strings.Cut(mountPoint, "://")
	base, _, _ := strings.Cut(rest, "/")
	if isDirectory(Scheme(mountPoint)) {
		base = path.Base(path.Clean("/" + rest))
	}
	name := strings.Map(func(r rune) rune {
		if isNameRune(r) {
			return r
		}
		return '-'
	}, base)
	name = strings.Trim(name, "-._")
	if len(name) > maxMountName-4 {
		name = strings.Trim(name[:maxMountName-4], "-._")
	}
	if name == "" {
		return "mount"
	}
	return name
}

// maxMountName keeps names usable as a label and as a file name.
const maxMountName = 63

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// NeedsCredentials says whether stores of a scheme are reached with an access
// key.
func NeedsCredentials(scheme string) bool {
	return slices.Contains([]string{"oss", "s3", "cos", "obs", "dls"}, scheme)
}
