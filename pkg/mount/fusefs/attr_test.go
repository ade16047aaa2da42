//go:build linux

package fusefs

import (
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// TestTimeoutsOfOlderNames checks that the kernel uses a name that was read some time
// ago for that much shorter.
func TestTimeoutsOfOlderNames(t *testing.T) {
	f := &fileSystem{config: Config{EntryTTL: time.Minute, AttrTTL: 30 * time.Second}}
	for age, want := range map[time.Duration][2]uint64{0: {60, 30}, 20 * time.Second: {40, 10}, time.Hour: {0, 0}} {
		var out fuse.EntryOut
		f.entryOfAge(node{id: 2, path: "/f"}, age, &out)
		if got := [2]uint64{out.EntryValid, out.AttrValid}; got != want {
			t.Errorf("age %v: timeouts %v, want %v", age, got, want)
		}
	}
	if age := ageOf(reader.Entry{}); age != 0 {
		t.Errorf("an entry that was not read before has age %v", age)
	}
	if age := ageOf(reader.Entry{Read: time.Now().Add(-time.Hour)}); age < time.Hour {
		t.Errorf("an entry of an hour ago has age %v", age)
	}
}
