// Package golden compares what a test drew with a file that a person has
// reviewed; -update writes the files anew.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// Flag makes the -update flag; each test package calls it once.
func Flag() *bool { return flag.Bool("update", false, "write the golden files anew") }

// Compare compares with testdata/<name>.
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
		t.Fatalf("%v (run with -update to make it)", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}
