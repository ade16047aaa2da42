package session

import (
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// noTimeout is used for 0: longer than any command runs, and still a deadline.
const noTimeout = 24 * time.Hour

// timeout is the value of --request-timeout, in the forms that kubectl accepts: 1s,
// 2m, 3h, a number of seconds, or 0 for no timeout.
type timeout struct{ value *time.Duration }

// Set implements pflag.Value.
func (t timeout) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		seconds, failed := strconv.Atoi(text)
		if failed != nil {
			return clierror.Usagef("invalid duration %q: want 5s, 2m, a number of seconds, or 0 for no limit", text)
		}
		d = time.Duration(seconds) * time.Second
	}
	switch {
	case d < 0:
		return clierror.Usagef("invalid duration %q: must not be negative", text)
	case d == 0:
		d = noTimeout
	}
	*t.value = d
	return nil
}

// String implements pflag.Value.
func (t timeout) String() string {
	if t.value == nil || *t.value == noTimeout {
		return "0"
	}
	return t.value.String()
}

// Type implements pflag.Value.
func (timeout) Type() string { return "duration" }
