package owner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/owner"
)

// TestLinksInsideAreNotFollowed replaces each directory by a link to the directory of
// another runtime below the same root, relative and absolute.
func TestLinksInsideAreNotFollowed(t *testing.T) {
	for _, place := range []string{"default", below, below + "/jindofs", below + "/jindofs/tier"} {
		for _, absolute := range []bool{false, true} {
			root := t.TempDir()
			rest := strings.TrimPrefix(below+"/jindofs/tier", place)
			// It has our mark: an attacker may know the uid.
			files(t, root, map[string]string{"victim" + rest + "/" + owner.File: "u1", "victim" + rest + "/a": "x"})
			link := filepath.Join(root, place)
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(root, "victim")
			if !absolute {
				var err error
				if target, err = filepath.Rel(filepath.Dir(link), target); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			removal, err := owner.Remove(root, below, "u1")
			if err != nil || len(removal.Removed) > 0 {
				t.Errorf("%s -> %s: %+v, %v", place, target, removal, err)
			}
			if len(removal.Kept) == 0 {
				t.Errorf("%s -> %s: not reported", place, target)
			}
			if _, err := os.Stat(filepath.Join(root, "victim"+rest, "a")); err != nil {
				t.Errorf("%s -> %s: %v", place, target, err)
			}
		}
	}
}

// TestLinksInADirectoryAreRemoved checks that a link within the runtime's directory is
// removed itself, not its target.
func TestLinksInADirectoryAreRemoved(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	files(t, outside, map[string]string{"a": "x"})
	files(t, root, map[string]string{below + "/jindofs/tier/" + owner.File: "u1"})
	if err := os.Symlink(outside, filepath.Join(root, below, "jindofs/tier/link")); err != nil {
		t.Fatal(err)
	}
	if removal, err := owner.Remove(root, below, "u1"); err != nil || len(removal.Removed) != 1 {
		t.Errorf("%+v, %v", removal, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "a")); err != nil {
		t.Error(err)
	}
}

// TestMarksThatAreNoFiles: a mark that is a link, a pipe or too large neither hangs
// nor leads elsewhere.
func TestMarksThatAreNoFiles(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"link": func(path string) error {
			target := filepath.Join(t.TempDir(), "u1")
			if err := os.WriteFile(target, []byte("u1\n"), 0o644); err != nil {
				return err
			}
			return os.Symlink(target, path)
		},
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o644) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"large":     func(path string) error { return os.WriteFile(path, []byte("u1\n"+strings.Repeat(" ", 1<<20)), 0o644) },
	} {
		root := t.TempDir()
		tier := filepath.Join(root, below, "jindofs/tier")
		files(t, root, map[string]string{below + "/jindofs/tier/a": "x"})
		if err := create(filepath.Join(tier, owner.File)); err != nil {
			t.Fatal(err)
		}
		if removal, err := owner.Remove(root, below, "u1"); err != nil || len(removal.Removed) > 0 || len(removal.Kept) != 1 {
			t.Errorf("%s: Remove: %+v, %v", name, removal, err)
		}
		t.Setenv(owner.Variable, "u1")
		if err := owner.Claim(tier); err == nil {
			t.Errorf("%s: Claim succeeds", name)
		}
		if _, err := os.Stat(filepath.Join(tier, "a")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClaimRefuses checks directories that are not a runtime's.
func TestClaimRefuses(t *testing.T) {
	t.Setenv(owner.Variable, "u1")
	root := t.TempDir()
	files(t, root, map[string]string{"etc/passwd": "x", "disk/lost+found/": "", "disk/.snapshot/a": "x", "real/": ""})
	if err := owner.Claim(filepath.Join(root, "etc")); err == nil || !strings.Contains(err.Error(), `"passwd"`) {
		t.Errorf("a directory with files of others: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(root, "etc", owner.File)); err == nil {
		t.Error("it was marked")
	}
	if err := owner.Claim(filepath.Join(root, "disk")); err != nil {
		t.Errorf("a new file system: %v", err)
	}
	if err := os.Symlink("real", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"link", "link/below"} {
		if err := owner.Claim(filepath.Join(root, dir)); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestVolumeElsewhereIsRefused mounts what the kubelet mounts if a part of a path on
// the node is a symbolic link: its target.
func TestVolumeElsewhereIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting needs root")
	}
	root := t.TempDir()
	files(t, root, map[string]string{"disk/team/hadoop/jindofs/master/": "", "victim/": "", "other/team/hadoop/jindofs/masters/": "", "pod/": "", "plain/": ""})
	point := filepath.Join(root, "pod")
	t.Setenv(owner.Variable, "u1")
	for _, test := range []struct {
		source, places string
		want           string
	}{
		{"disk/team/hadoop/jindofs/master", "team/hadoop/jindofs/master", ""},
		{"victim", "team/hadoop/jindofs/master", "symbolic link"},
		{"other/team/hadoop/jindofs/masters", "team/hadoop/jindofs/master", "symbolic link"},
		{"disk/team/hadoop/jindofs/master", "eam/hadoop/jindofs/master", "symbolic link"},
		{"", "team/hadoop/jindofs/master", "not a volume"},
	} {
		t.Setenv(owner.PlacesVariable, "/elsewhere=x,"+point+"="+test.places)
		if test.source != "" {
			if err := unix.Mount(filepath.Join(root, test.source), point, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
		}
		err := owner.Claim(point)
		if test.source != "" {
			if err := unix.Unmount(point, 0); err != nil {
				t.Fatal(err)
			}
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s at %s: %v, want %q", test.source, test.places, err, test.want)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "victim", owner.File)); err == nil {
		t.Error("the link's target was marked")
	}
	t.Setenv(owner.PlacesVariable, "a")
	if err := owner.Claim(filepath.Join(root, "plain")); err == nil || !strings.Contains(err.Error(), owner.PlacesVariable) {
		t.Errorf("a malformed variable: %v", err)
	}
}
