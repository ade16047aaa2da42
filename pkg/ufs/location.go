package ufs

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// Location is a parsed mount point.
type Location struct {
	// Scheme is in lower case: "oss", "s3", "file".
	Scheme string
	// Bucket of an object store; empty for a directory.
	Bucket string
	// Prefix of the keys: empty, or without a slash at its start and with one
	// at its end. Empty for a directory.
	Prefix string
	// Dir is the absolute, clean path of a directory; empty for a bucket.
	Dir string
}

// String returns the location as a mount point: "oss://bucket/prefix/".
func (l Location) String() string {
	if l.Dir != "" {
		return l.Scheme + "://" + strings.TrimSuffix(l.Dir, "/") + "/"
	}
	return l.Scheme + "://" + l.Bucket + "/" + l.Prefix
}

// ParseLocation parses a mount point. Paths are not unescaped: "%41" is three
// characters, as in Fluid's mountPoint.
func ParseLocation(uri string) (Location, error) {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found || scheme == "" {
		return Location{}, fmt.Errorf("mount point %q has no scheme; write it like oss://bucket/prefix/: %w", uri, ErrInvalid)
	}
	if !utf8.ValidString(uri) || strings.ContainsAny(uri, "\x00\n\r") {
		return Location{}, fmt.Errorf("mount point %q contains a control character or invalid UTF-8: %w", uri, ErrInvalid)
	}
	l := Location{Scheme: strings.ToLower(scheme)}
	if l.Scheme == "file" || l.Scheme == "local" {
		return parseDir(l, rest, uri)
	}
	return parseBucket(l, rest, uri)
}

func parseDir(l Location, rest, uri string) (Location, error) {
	if !strings.HasPrefix(rest, "/") {
		return Location{}, fmt.Errorf("mount point %q contains a host; write %s:///absolute/dir/ with three slashes: %w", uri, l.Scheme, ErrInvalid)
	}
	l.Dir = path.Clean(rest)
	return l, nil
}

func parseBucket(l Location, rest, uri string) (Location, error) {
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !validBucket(bucket) {
		return Location{}, fmt.Errorf("mount point %q has the invalid bucket name %q; write it like %s://bucket/prefix/: %w", uri, bucket, l.Scheme, ErrInvalid)
	}
	l.Bucket = bucket
	l.Prefix = strings.TrimLeft(prefix, "/")
	if l.Prefix != "" && !strings.HasSuffix(l.Prefix, "/") {
		l.Prefix += "/"
	}
	return l, nil
}

// validBucket reports whether a bucket can be part of a host name or a path.
// Stores apply stricter rules of their own.
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
