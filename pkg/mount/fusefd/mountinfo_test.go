//go:build linux

package fusefd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseMountInfo(t *testing.T) {
	text := `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 0:52 / /mnt/with\040space\011and\134 ro,nosuid shared:5 master:1 - fuse.jindo jindo:/dev/fuse ro,user_id=0
40 22 0:53 / /mnt/none rw - tmpfs tmpfs rw
garbage
41 22 0:54 / /mnt/cut rw -
42 22 0:55 / /mnt/other rw - fuse.other other:/dev/fuse rw
`
	got, err := parseMountInfo(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []mountInfo{
		{device: "254:0", point: "/", fstype: "ext4", source: "/dev/vda"},
		{device: "0:52", point: "/mnt/with space\tand\\", fstype: "fuse.jindo", source: "jindo:/dev/fuse"},
		{device: "0:53", point: "/mnt/none", fstype: "tmpfs", source: "tmpfs"},
		{device: "0:55", point: "/mnt/other", fstype: "fuse.other", source: "other:/dev/fuse"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d mounts: %v", len(got), got)
	}
	for i, m := range got {
		if m != want[i] {
			t.Errorf("mount %d is %+v, want %+v", i, m, want[i])
		}
		if m.ours() != (i == 1) {
			t.Errorf("mount %d is ours: %v", i, m.ours())
		}
	}
}

func TestCanonicalFollowsOnlyWhatIsAbove(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "real", "real/loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := canonical(filepath.Join(dir, "link", "loop"))
	if want := filepath.Join(dir, "real", "loop"); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func FuzzParseMountInfo(f *testing.F) {
	f.Add("36 22 0:52 / /mnt ro - fuse.jindo jindo:/dev/fuse ro")
	f.Add(`1 2 3 4 \1 5 - \`)
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := parseMountInfo(strings.NewReader(text))
		if err == nil && len(mounts) > strings.Count(text, "\n")+1 {
			t.Errorf("%d mounts in %q", len(mounts), text)
		}
	})
}
