package ufs

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxKey is the longest key of OSS and S3, in bytes.
const maxKey = 1023

// CheckKey refuses what is no key of an object store behind a prefix.
func CheckKey(prefix, key string) error {
	switch {
	case key == "":
		return fmt.Errorf("an empty key: %w", ErrInvalid)
	case strings.HasPrefix(key, "/"):
		return fmt.Errorf("key %q starts with a slash: %w", key, ErrInvalid)
	case len(prefix)+len(key) > maxKey:
		return fmt.Errorf("key %.40q... is longer than %d bytes: %w", key, maxKey, ErrInvalid)
	case strings.ContainsRune(key, 0):
		return fmt.Errorf("key %q holds a byte that no name has: %w", key, ErrInvalid)
	case !utf8.ValidString(key):
		return fmt.Errorf("key %q is not UTF-8: %w", key, ErrInvalid)
	}
	return nil
}

// CheckDelimiter refuses all but those that every driver knows.
func CheckDelimiter(delimiter string) error {
	if delimiter != "" && delimiter != "/" {
		return fmt.Errorf("delimiter %q, only %q is known: %w", delimiter, "/", ErrInvalid)
	}
	return nil
}
