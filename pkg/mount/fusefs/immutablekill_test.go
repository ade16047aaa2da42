//go:build linux

package fusefs

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestReadersOfImmutableMountsSurviveKilledServers kills servers of a mount with the
// immutable profile while its files are read with O_DIRECT, through the page cache and
// by mmap, some of them during the takeover. Their successors are configured with and
// without the profile, which the mount keeps.
func TestReadersOfImmutableMountsSurviveKilledServers(t *testing.T) {
	kills := 20
	switch {
	case os.Getenv("JINDO_LONG") != "":
		kills = 100
	case testing.Short():
		kills = 5
	}
	for name, roles := range map[string][2]string{
		"direct reads and directories": {"serve", "read"},
		"cached reads and maps":        {"servemodes", "readmodes"},
	} {
		t.Run(name, func(t *testing.T) {
			h, source := newPassthroughMount(t, nil)
			for i, v := range putModeFiles(source) {
				if i%3 == 0 {
					source.seal(t, v)
				}
			}
			t.Setenv(cacheVariable, source.cache)
			t.Setenv(immutableVariable, "1")
			k := h.startRoles(t, roles[0], roles[1])
			for i := range kills {
				t.Setenv(immutableVariable, []string{"", "1"}[i%2])
				k.kill(time.Duration(rand.IntN(150))*time.Millisecond, i%3 != 2)
			}
			if n := len(h.slots(t).Backings()); n != 0 {
				t.Errorf("%d files are registered with the kernel", n)
			}
			k.stop(kills)
			k.end()
			file, err := os.Open(filepath.Join(h.state, tableName))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			if header, ok, err := readHeader(file); err != nil || !ok || header.features&featureImmutable == 0 {
				t.Errorf("the table has features %#x, error %v; want the profile", header.features, err)
			}
		})
	}
}
