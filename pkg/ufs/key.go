package ufs

import (
	"fmt"
	"strings"
)

// maxKey is the longest key of S3, in bytes. That of OSS is one shorter, which OSS
// itself refuses.
const maxKey = 1024

// CheckKey returns an error if the key, with the prefix of its store, is not a
// valid key of an object store. Keys are bytes: whether they must be UTF-8 is
// the store's rule.
func CheckKey(prefix, key string) error {
	switch {
	case key == "":
		return fmt.Errorf("an empty key: %w", ErrInvalidKey)
	case strings.HasPrefix(key, "/"):
		return fmt.Errorf("key %q starts with a slash: %w", key, ErrInvalidKey)
	case len(prefix)+len(key) > maxKey:
		return fmt.Errorf("key %.40q... is longer than %d bytes: %w", key, maxKey, ErrInvalidKey)
	case strings.ContainsRune(key, 0):
		return fmt.Errorf("key %q contains a control character: %w", key, ErrInvalidKey)
	}
	return nil
}

// CheckPrefix returns an error if no valid key begins with the prefix.
func CheckPrefix(store, prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckKey(store, prefix)
}

// CheckDelimiter returns an error unless every driver supports the delimiter.
func CheckDelimiter(delimiter string) error {
	if delimiter != "" && delimiter != "/" {
		return fmt.Errorf("unsupported delimiter %q, must be %q: %w", delimiter, "/", ErrInvalid)
	}
	return nil
}
