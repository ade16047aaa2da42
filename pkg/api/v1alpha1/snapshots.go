package v1alpha1

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of a SnapshotSchedule, as in its rules.
const (
	minSnapshotInterval = 10 * time.Minute
	maxSnapshotInterval = 366 * 24 * time.Hour
	maxSnapshotsKept    = 1000
	maxSnapshotPrefix   = 256
)

// Every returns the interval of a schedule. It returns an error unless the interval is
// one that Validate accepts.
func (s *SnapshotSchedule) Every() (time.Duration, error) {
	if !regexp.MustCompile(`^([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$`).MatchString(s.Interval) {
		return 0, fmt.Errorf("invalid interval %q", s.Interval)
	}
	interval, err := time.ParseDuration(s.Interval)
	if err != nil || interval < minSnapshotInterval || interval > maxSnapshotInterval {
		return 0, fmt.Errorf("invalid interval %q: must be 10m to 8784h", s.Interval)
	}
	return interval, nil
}

// snapshots checks what a schedule says by itself. Whether the Dataset has the mount is
// checked with the Dataset.
func (f *findings) snapshots(path *field.Path, s *SnapshotSchedule) {
	if s == nil {
		return
	}
	if !mountName(s.Mount) {
		f.invalid(path.Child("mount"), s.Mount, "not a valid name of a mount: write the name of a mount of the Dataset that is not read-only")
	}
	if len(s.Prefix) > maxSnapshotPrefix {
		f.invalid(path.Child("prefix"), s.Prefix, "longer than %d bytes: write a shorter prefix", maxSnapshotPrefix)
	} else if s.Prefix != "" {
		for element := range strings.SplitSeq(s.Prefix, "/") {
			if !plainName(element) {
				f.invalid(path.Child("prefix"), s.Prefix, "not a valid prefix: write names of letters, digits, '-', '_' and '.', with one '/' between two of them and none at the ends, such as backup/masters")
				break
			}
		}
	}
	if s.Interval != "" {
		if _, err := s.Every(); err != nil {
			f.invalid(path.Child("interval"), s.Interval, "not a valid interval: write hours, minutes and seconds from 10m to 8784h, such as 6h or 1h30m")
		}
	}
	if s.Keep != nil && (*s.Keep < 1 || *s.Keep > maxSnapshotsKept) {
		f.invalid(path.Child("keep"), *s.Keep, "must be 1 to %d: write how many snapshots are kept, or omit it for 24", maxSnapshotsKept)
	}
}
