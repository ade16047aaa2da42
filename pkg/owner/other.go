//go:build !linux

package owner

import "errors"

var errUnsupported = errors.New("directories of runtimes require Linux")

// Claim is not supported.
func Claim(...string) error { return errUnsupported }

// Remove is not supported.
func Remove(string, string, string) (Removal, error) { return Removal{}, errUnsupported }
