package ufs

import (
	"errors"
	"strings"
)

// Describe returns the text of a driver's error for users: without the name of its
// kind at the end, which the text before explains.
func Describe(err error) string {
	text := err.Error()
	for _, kind := range []error{
		ErrNoBucket, ErrNotFound, ErrPermission, ErrPrecondition, ErrInvalidRange,
		ErrThrottled, ErrConnectionRefused, ErrUnavailable, ErrUnsupported, ErrInvalidKey, ErrInvalid,
	} {
		if rest, found := strings.CutSuffix(text, ": "+kind.Error()); found && errors.Is(err, kind) {
			return rest
		}
	}
	return text
}
