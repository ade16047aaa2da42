package v1alpha1

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Schemes returns the known schemes of mount points, including those without a
// driver.
func Schemes() []string {
	return []string{"oss", "s3", "cos", "obs", "hdfs", "dls", "pvc", "local", "file"}
}

// SchemeSupported reports whether mounts of a scheme can be served. Mounts of the
// other known schemes are accepted, and their Dataset has the condition
// MountUnsupported.
func SchemeSupported(scheme string) bool {
	return slices.Contains([]string{"oss", "s3", "local", "file"}, scheme)
}

// MountUnsupported returns a message that explains why mounts of a scheme are not
// served; empty if they are.
func MountUnsupported(scheme string) string {
	switch {
	case SchemeSupported(scheme):
		return ""
	case scheme == "pvc":
		return "pvc:// is accepted but not served yet: write the directory of the claim as local:///directory"
	case scheme == "cos" || scheme == "obs":
		return fmt.Sprintf("%s:// is accepted but not served yet: if the store speaks S3, write s3://bucket/ and its fs.s3.endpoint", scheme)
	default:
		return fmt.Sprintf("%s:// is accepted but not served yet: oss://, s3://, local:/// and file:/// are", scheme)
	}
}

// Scheme returns the scheme of a mount point in lower case; empty if it has none.
func Scheme(mountPoint string) string {
	scheme, _, found := strings.Cut(mountPoint, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

// isDirectory reports whether mount points of a scheme are directories.
func isDirectory(scheme string) bool { return scheme == "local" || scheme == "file" }

// hasPlaceholder reports whether text contains a <PLACEHOLDER> of an example.
func hasPlaceholder(text string) bool {
	_, rest, open := strings.Cut(text, "<")
	return open && strings.Contains(rest, ">")
}

// nameFromMountPoint returns the default name of a mount: its bucket, or the last
// element of its directory.
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

// maxMountName is the longest name that can be used as a label, in bytes.
const maxMountName = 63

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// NeedsCredentials reports whether stores of a scheme require an access key.
func NeedsCredentials(scheme string) bool {
	return slices.Contains([]string{"oss", "s3", "cos", "obs", "dls"}, scheme)
}
