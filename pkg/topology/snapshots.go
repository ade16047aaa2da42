package topology

import (
	"fmt"
	"strings"
	"time"
)

// Bounds of a SnapshotSchedule.
const (
	// MinSnapshotInterval is the shortest time between two scheduled snapshots, and
	// MaxSnapshotInterval the longest.
	MinSnapshotInterval = 10 * time.Minute
	MaxSnapshotInterval = 366 * 24 * time.Hour
	// MaxSnapshotsKept is the maximum number of snapshots that are kept.
	MaxSnapshotsKept = 1000
	// MaxSnapshotPrefix is the maximum length of a prefix, in bytes.
	MaxSnapshotPrefix = 256
)

// SnapshotSchedule is when and where the leader of the masters has its state saved. It is
// in the topology, so that masters and workers have it from the executor and not from each
// other.
type SnapshotSchedule struct {
	// Mount is the name of the mount that a worker writes to, and URI that of its store.
	Mount string `json:"mount"`
	URI   string `json:"uri"`
	// Prefix of the objects, below that of the mount; see [CheckSnapshotPrefix].
	Prefix string `json:"prefix"`
	// IntervalSeconds is the time between two snapshots.
	IntervalSeconds int64 `json:"intervalSeconds"`
	// Keep is how many snapshots are kept.
	Keep int `json:"keep"`
}

// Interval is the time between two snapshots.
func (s *SnapshotSchedule) Interval() time.Duration {
	return time.Duration(s.IntervalSeconds) * time.Second
}

// Validate returns an error that describes the first invalid field.
func (s *SnapshotSchedule) Validate() error {
	if s.Mount == "" || s.URI == "" {
		return fmt.Errorf("snapshots: mount %q with uri %q: both must be set", s.Mount, s.URI)
	}
	if reason := CheckSnapshotPrefix(s.Prefix); reason != "" {
		return fmt.Errorf("snapshots: prefix %q: %s", s.Prefix, reason)
	}
	if least, most := int64(MinSnapshotInterval/time.Second), int64(MaxSnapshotInterval/time.Second); s.IntervalSeconds < least || s.IntervalSeconds > most {
		return fmt.Errorf("snapshots: intervalSeconds is %d: must be %d to %d", s.IntervalSeconds, least, most)
	}
	if s.Keep < 1 || s.Keep > MaxSnapshotsKept {
		return fmt.Errorf("snapshots: keep is %d: must be 1 to %d", s.Keep, MaxSnapshotsKept)
	}
	return nil
}

// CheckSnapshotPrefix returns why objects cannot have a prefix; "" if they can. A prefix
// has elements of letters, digits, '-', '_' and '.', with a '/' between two of them. It
// means the same to every store, also as a directory, and never leaves the mount.
func CheckSnapshotPrefix(prefix string) string {
	if len(prefix) > MaxSnapshotPrefix {
		return fmt.Sprintf("longer than %d bytes: write a shorter one", MaxSnapshotPrefix)
	}
	for element := range strings.SplitSeq(prefix, "/") {
		if strings.Trim(element, ".") == "" || strings.ContainsFunc(element, notInPrefix) {
			return "not a valid prefix: write names of letters, digits, '-', '_' and '.', with one '/' between two of them and none at the ends, such as backup/masters"
		}
	}
	return ""
}

func notInPrefix(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}
