// Package golden compares the output of tests with reviewed files; -update
// rewrites the files.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// Flag registers the -update flag; each test package calls it once.
func Flag() *bool { return flag.Bool("update", false, "rewrite the golden files") }

// Compare compares got with testdata/<name>, or writes the file if update is set.
func Compare(t *testing.T, update bool, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}
