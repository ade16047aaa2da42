package state

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the files in testdata: only when the format has a new version")

// TestOldSnapshotsAreRead restores a snapshot of version 1 and compares its
// digest with the one at that time. A difference would make running clusters
// unable to read their disks, or make members of two versions have different
// digests of equal states.
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
		t.Errorf("the digest is %s, and was %s", got, want)
	}
	// The same commands still give the same state.
	if got, want := busy(t).View().Digest(), f.View().Digest(); got != want {
		t.Errorf("the commands of the snapshot result in digest %s, want %s", got, want)
	}
}
