package archive

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

const (
	suffix = ".jindosnapshot"
	// stamp is the form of a time, in UTC.
	stamp = "20060102T150405Z"
	// maxID is the maximum length of a cluster id, in bytes.
	maxID = 128
)

// Name identifies a snapshot. As a string it is CLUSTER-INDEX-TIME.jindosnapshot, with the
// index, whose upper part is the epoch, as 16 hexadecimal digits. The strings of one
// cluster sort by age.
type Name struct {
	ClusterID string
	Index     uint64
	// Time is in UTC, without fractions of a second.
	Time time.Time
}

// String implements fmt.Stringer.
func (n Name) String() string {
	return fmt.Sprintf("%s-%016x-%s%s", n.ClusterID, n.Index, n.Time.UTC().Format(stamp), suffix)
}

// check returns an error unless Parse returns the same name for the string.
func (n Name) check() error {
	if parsed, ok := Parse(n.ClusterID, n.String()); !ok || !parsed.Time.Equal(n.Time) {
		return fmt.Errorf("cluster %q, time %s: %w name", n.ClusterID, n.Time, ufs.ErrInvalid)
	}
	return nil
}

// Parse returns the name that a string is of, and whether it is one of the cluster. Every
// name has one string.
func Parse(clusterID, text string) (Name, bool) {
	rest, ok := strings.CutPrefix(text, clusterID+"-")
	if !ok || !validID(clusterID) || len(rest) != 16+1+len(stamp)+len(suffix) {
		return Name{}, false
	}
	index, err := strconv.ParseUint(rest[:16], 16, 64)
	if err != nil {
		return Name{}, false
	}
	at, err := time.Parse(stamp, rest[17:17+len(stamp)])
	if err != nil {
		return Name{}, false
	}
	n := Name{ClusterID: clusterID, Index: index, Time: at}
	return n, n.String() == text
}

// validID reports whether a cluster id can be part of a key.
func validID(id string) bool {
	return len(id) <= maxID && strings.Trim(id, ".") != "" && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}
