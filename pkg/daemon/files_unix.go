//go:build unix

package daemon

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Files returns the number of files that this process may have open, after it
// has raised its soft limit to the hard one.
func Files() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, math.MaxInt32)), nil
}
