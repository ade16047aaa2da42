package wire

import (
	"strings"
)

// Limits of what a version of an object is named by, in bytes. Requests with
// longer values are rejected by both ends before they are sent or served.
const (
	// MaxMount is the length of the longest id of a mount.
	MaxMount = 256
	// MaxName is the length of the longest file name.
	MaxName = 255
	// MaxKey is the length of the longest object key, and of the longest
	// directory. Object stores have shorter limits; PATH_MAX is 4096.
	MaxKey = 8192
	// MaxETag is the length of the longest entity tag.
	MaxETag = 1024
)

// IsName reports whether an element of a key can be the name of a file. Names are
// bytes, not text: they need not be UTF-8.
func IsName(element string) bool {
	return element != "" && element != "." && element != ".." && len(element) <= MaxName && !strings.ContainsAny(element, "\x00/")
}

// IsPath reports whether every element of a path can be the name of a file, and
// the path is short enough to be a key. "" is the root.
func IsPath(path string) bool {
	if path == "" {
		return true
	}
	if len(path) > MaxKey {
		return false
	}
	for element := range strings.SplitSeq(path, "/") {
		if !IsName(element) {
			return false
		}
	}
	return true
}

// IsKey reports whether a key is the path of a file that can be read: see
// [IsPath].
func IsKey(key string) bool { return key != "" && IsPath(key) }

// IsETag reports whether a tag can name a version. Any bytes can; an absent tag
// and one longer than [MaxETag] cannot.
func IsETag(tag string) bool { return tag != "" && len(tag) <= MaxETag }
