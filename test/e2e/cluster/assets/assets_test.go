package assets

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeyFollowsContent(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func(flags string) string {
		t.Helper()
		key, err := cachedProgram{name: "x", module: dir, pkg: ".", flags: flags}.key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	put("go.mod", "module x\n")
	put("go.sum", "")
	put("main.go", "package main\n")
	first := key("-s")
	put("README.md", "not built")
	if key("-s") != first {
		t.Error("a file that is not built changes the key")
	}
	if key("-w") == first {
		t.Error("other flags give the same key")
	}
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		before := key("-s")
		put(name, "changed")
		if key("-s") == before {
			t.Errorf("another %s gives the same key", name)
		}
	}
}

func TestStatic(t *testing.T) {
	for _, c := range []struct {
		path string
		fine bool
	}{
		{"/bin/sh", false},
		{"/etc/passwd", false},
		{"/none", false},
	} {
		if err := static(c.path); (err == nil) != c.fine {
			t.Errorf("static(%q) = %v", c.path, err)
		}
	}
}

func TestFindRoot(t *testing.T) {
	root, err := FindRoot()
	if err != nil || !isFile(filepath.Join(root, "test", "e2e", "cluster", "go.mod")) {
		t.Errorf("FindRoot() = %q, %v", root, err)
	}
	t.Chdir("/")
	if root, err := FindRoot(); err == nil {
		t.Errorf("outside of the repository: %q", root)
	}
}
