package testbed

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestNewDirectoriesAreKept creates directories at the same time. Each removes those of
// killed runs first, and none of the others.
func TestNewDirectoriesAreKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left := filepath.Join(os.TempDir(), dirPrefix+"killed")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, ownerFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				dir, err := Dir("/nonexistent", "test")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(filepath.Join(dir, ownerFile)); err != nil {
					t.Errorf("the directory was removed by others: %v", err)
				}
			}
		})
	}
	group.Wait()
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the directory of a killed run is left: %v", err)
	}
}
