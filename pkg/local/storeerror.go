package local

import (
	"strings"

	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// StoreError reports a mount whose store cannot be read.
type StoreError struct {
	Mount plan.Mount
	// Option is the mount's option to correct; "" when it is the mount point.
	Option string
	Err    error
}

// Error returns the mount point and the cause.
func (e *StoreError) Error() string { return e.Mount.URI + ": " + ufs.Describe(e.Err) }

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// StoreErrors holds one error for each mount whose store cannot be read, in the
// order of the plan.
type StoreErrors []*StoreError

// Error joins the errors, one a line.
func (e StoreErrors) Error() string {
	lines := make([]string, len(e))
	for i, failed := range e {
		lines[i] = failed.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors.
func (e StoreErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, failed := range e {
		errs[i] = failed
	}
	return errs
}
