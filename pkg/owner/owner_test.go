package owner_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/owner"
)

const below = "default/hadoop"

// files creates files below a directory.
func files(t *testing.T, root string, contents map[string]string) {
	t.Helper()
	for name, content := range contents {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemove(t *testing.T) {
	const ours = below + "/jindofs/tier/"
	for _, test := range []struct {
		name    string
		files   map[string]string
		removed []string
		there   []string
		kept    string
	}{
		{"nothing", nil, nil, nil, ""},
		{"ours", map[string]string{ours + owner.File: "u1\n", ours + "00/a.data": "x"}, []string{"default"}, nil, ""},
		{"several of this runtime", map[string]string{ours + owner.File: "u1", below + "/jindofs/master-0/" + owner.File: "u1", below + "/jindofs/data/" + owner.File: "u1"}, []string{"default"}, nil, ""},
		{"empty", map[string]string{ours: ""}, []string{"default"}, nil, ""},
		{"of a later runtime", map[string]string{ours + owner.File: "u2\n", ours + "a": "x", below + "/jindofs/data/" + owner.File: "u1"}, []string{below + "/jindofs/data"}, []string{ours + "a"}, "uid u2"},
		{"another owner's", map[string]string{ours + "a": "x"}, nil, []string{ours + "a"}, "no file .jindo-runtime"},
		{"other files beside it", map[string]string{ours + owner.File: "u1", "default/hive/jindofs/tier/a": "x", "mine": "x"}, []string{below}, []string{"default/hive/jindofs/tier/a", "mine"}, ""},
		{"a file instead of a directory", map[string]string{below + "/jindofs/tier": "x"}, nil, []string{below + "/jindofs/tier"}, "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			files(t, root, test.files)
			for range 2 { // a second call changes nothing
				removal, err := owner.Remove(root, below, "u1")
				if err != nil {
					t.Fatal(err)
				}
				if kept := strings.Join(removal.Kept, "; "); !strings.Contains(kept, test.kept) || test.kept == "" && kept != "" {
					t.Errorf("kept %q", kept)
				}
			}
			for _, name := range test.removed {
				if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s exists: %v", name, err)
				}
			}
			for _, name := range append(test.there, ".") {
				if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestLinksAreNotFollowed checks a link in the place of each directory.
func TestLinksAreNotFollowed(t *testing.T) {
	for _, place := range []string{"default", below, below + "/jindofs", below + "/jindofs/tier"} {
		t.Run(place, func(t *testing.T) {
			root, outside := t.TempDir(), t.TempDir()
			rest := strings.TrimPrefix(below+"/jindofs/tier", place)
			files(t, outside, map[string]string{rest + "/" + owner.File: "u1", rest + "/a": "x"})
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, place)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(root, place)); err != nil {
				t.Fatal(err)
			}
			_, _ = owner.Remove(root, below, "u1")
			if _, err := os.Stat(filepath.Join(outside, rest, "a")); err != nil {
				t.Errorf("a file outside was deleted: %v", err)
			}
		})
	}
}

func TestRemoveNeedsAPathAndAUID(t *testing.T) {
	for _, bad := range []string{"", "..", "../x", "/etc"} {
		if _, err := owner.Remove(t.TempDir(), bad, "u1"); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := owner.Remove(t.TempDir(), below, ""); err == nil {
		t.Error("an empty uid is accepted")
	}
	if _, err := owner.Remove(filepath.Join(t.TempDir(), "none"), below, "u1"); err != nil {
		t.Errorf("an empty root: %v", err)
	}
}

func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := owner.Claim(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Claim marks without a uid")
	}
	for _, uid := range []string{"u0", "u1", "u1"} {
		t.Setenv(owner.Variable, uid)
		if err := owner.Claim(dir); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(filepath.Join(dir, owner.File)); err != nil || string(raw) != uid+"\n" {
			t.Errorf("the mark is %q, %v", raw, err)
		}
	}
}
