package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/file"
	"github.com/jindo-io/jindo/pkg/ufs/ufstest"
)

func open(t testing.TB, dir string) *file.Store {
	t.Helper()
	store, err := file.Open(ufs.Location{Scheme: "file", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestConformance(t *testing.T) {
	ufstest.Run(t, ufstest.Suite{
		Many: 1001,
		Open: func(t testing.TB) ufs.Store { return open(t, t.TempDir()) },
		Missing: func(t testing.TB) ufs.Store {
			dir := filepath.Join(t.TempDir(), "missing")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			store := open(t, dir)
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			return store
		},
	})
}
