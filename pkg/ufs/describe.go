package ufs

import (
	"errors"
	"strings"
)

// Kinds returns the kinds of errors, each before the one that it wraps.
func Kinds() []error {
	return []error{
		ErrNoBucket, ErrNotFound, ErrPermission, ErrPrecondition, ErrInvalidRange,
		ErrThrottled, ErrConnectionRefused, ErrUnavailable, ErrUnsupported, ErrInvalidKey, ErrInvalid,
	}
}

// Describe returns the text of a driver's error for users: without the name of its
// kind at the end, which the text before explains.
func Describe(err error) string {
	text := err.Error()
	for _, kind := range Kinds() {
		if rest, found := strings.CutSuffix(text, ": "+kind.Error()); found && errors.Is(err, kind) {
			return rest
		}
	}
	return text
}
