package ufs

import (
	"errors"
	"regexp"
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

// Summary returns the text of a driver's error for status, events and reports. It is the
// same for every request that fails for the same reason: it has neither the key, nor the
// ids of the request and of the access key, nor local ports. The text of the error itself
// is for logs.
func Summary(err error) string {
	text := err.Error()
	var summarized interface {
		error
		Summary() string
	}
	if errors.As(err, &summarized) {
		text = strings.Replace(text, summarized.Error(), summarized.Summary(), 1)
	}
	return connection().ReplaceAllString(text, "$1")
}

// connection matches the addresses of a connection, as in the errors of package net:
// "10.0.0.1:40312->10.0.0.2:443".
func connection() *regexp.Regexp {
	return regexp.MustCompile(`[0-9A-Za-z.:%\[\]]+->([0-9A-Za-z.:%\[\]]*[0-9A-Za-z\]])`)
}
