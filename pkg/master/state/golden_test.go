package state

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the files in testdata anew: only when the format has a new version")

// TestOldSnapshotsAreRead: a snapshot of version 1, and the digest that every
// member has always given it. A change here cuts running clusters off from
// their disks, or makes members of two versions believe that they differ.
func TestOldSnapshotsAreRead(t *testing.T) {
	snapshot, digest := filepath.Join("testdata", "snapshot-v1"), filepath.Join("testdata", "snapshot-v1.digest")
	if *rewrite {
		f := busy(t)
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(snapshot, written(t, f), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(digest, []byte(f.View().Digest().String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(digest)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	if err := f.Restore(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if got := f.View().Digest().String() + "\n"; got != string(want) {
		t.Errorf("its digest is %s, and was %s", got, want)
	}
	// The same commands still make the same state.
	if got, want := busy(t).View().Digest(), f.View().Digest(); got != want {
		t.Errorf("the commands that made it give digest %s now, not %s", got, want)
	}
}
