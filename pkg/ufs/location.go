package ufs

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// Location is a mount point taken apart.
type Location struct {
	// Scheme in lower case: "oss", "s3", "file".
	Scheme string
	// Bucket of an object store; empty for a directory.
	Bucket string
	// Prefix of the keys, empty or ending with a slash, and with no slash at
	// its start. For a directory it is empty.
	Prefix string
	// Dir is the absolute, clean path of a directory; empty for a bucket.
	Dir string
}

// String is the location as a mount point is written: "oss://bucket/prefix/".
func (l Location) String() string {
	if l.Dir != "" {
		return l.Scheme + "://" + strings.TrimSuffix(l.Dir, "/") + "/"
	}
	return l.Scheme + "://" + l.Bucket + "/" + l.Prefix
}

// ParseLocation reads a mount point. Paths are taken as they are written:
// "%41" is three characters, as Fluid's users expect of a mountPoint.
func ParseLocation(uri string) (Location, error) {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found || scheme == "" {
		return Location{}, fmt.Errorf("mount point %q has no scheme; write it like oss://bucket/prefix/: %w", uri, ErrInvalid)
	}
	if !utf8.ValidString(uri) || strings.ContainsAny(uri, "\x00\n\r") {
		return Location{}, fmt.Errorf("mount point %q holds a byte that no name has: %w", uri, ErrInvalid)
	}
	l := Location{Scheme: strings.ToLower(scheme)}
	if l.Scheme == "file" || l.Scheme == "local" {
		return parseDir(l, rest, uri)
	}
	return parseBucket(l, rest, uri)
}

func parseDir(l Location, rest, uri string) (Location, error) {
	if !strings.HasPrefix(rest, "/") {
		return Location{}, fmt.Errorf("mount point %q names a host; write %s:///absolute/dir/ with three slashes: %w", uri, l.Scheme, ErrInvalid)
	}
	l.Dir = path.Clean(rest)
	return l, nil
}

func parseBucket(l Location, rest, uri string) (Location, error) {
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !validBucket(bucket) {
		return Location{}, fmt.Errorf("mount point %q has %q for a bucket; write it like %s://bucket/prefix/: %w", uri, bucket, l.Scheme, ErrInvalid)
	}
	l.Bucket = bucket
	l.Prefix = strings.TrimLeft(prefix, "/")
	if l.Prefix != "" && !strings.HasSuffix(l.Prefix, "/") {
		l.Prefix += "/"
	}
	return l, nil
}

// validBucket accepts what can stand in a host name or a path; the store knows
// its own stricter rules.
func validBucket(bucket string) bool {
	if bucket == "" || len(bucket) > 255 || bucket == "." || bucket == ".." {
		return false
	}
	for _, c := range []byte(bucket) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
		if !ok {
			return false
		}
	}
	return true
}
