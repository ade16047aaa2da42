package server

import (
	"os"
	"path/filepath"
	"testing"
)

// A cluster id that could not be written must be written by the next attempt,
// or a restarted worker would join any cluster.
func TestClusterIDIsWrittenAfterAFailure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	v := &views{dir: dir, identity: identityFile{Format: idFormat, ID: newID()}}
	if err := v.belong("c1"); err == nil {
		t.Fatal("no error without the data directory")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := v.belong("c1"); err != nil {
		t.Fatal(err)
	}
	stored, err := loadIdentity(dir)
	if err != nil || stored != v.identity || stored.ClusterID != "c1" {
		t.Errorf("stored %+v, %v, want %+v", stored, err, v.identity)
	}
}
