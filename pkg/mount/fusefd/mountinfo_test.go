//go:build linux

package fusefd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOurs(t *testing.T) {
	for m, want := range map[mountInfo]bool{
		{fstype: "fuse.jindo", source: "jindo:/dev/fuse"}: true,
		{fstype: "fuse.other", source: "other:/dev/fuse"}: false,
		{fstype: "tmpfs", source: "jindo:/dev/fuse"}:      false,
		{fstype: "fuse.jindo", source: "jindo"}:           false,
	} {
		if m.ours() != want {
			t.Errorf("ours of %+v is %v, want %v", m, !want, want)
		}
	}
}

func TestCanonicalFollowsLinksInTheParentOnly(t *testing.T) {
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
		t.Errorf("got %s, error %v; want %s", got, err, want)
	}
}
