package atomicfile_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

func TestWriteReplacesContentAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.json")
	for i, want := range []struct {
		content string
		mode    fs.FileMode
	}{{"first", 0o600}, {"the second, which is longer", 0o644}, {"", 0o400}} {
		if err := atomicfile.Write(path, []byte(want.content), want.mode); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want.content {
			t.Fatalf("read %d: got %q, %v; want %q", i, got, err, want.content)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want.mode {
			t.Fatalf("mode %d: got %v, %v; want %v", i, info.Mode(), err, want.mode)
		}
	}
	onlyFile(t, path)
}

// TestAFailedWriteLeavesThePreviousFile makes the rename fail: a directory is
// not replaced by a file.
func TestAFailedWriteLeavesThePreviousFile(t *testing.T) {
	target := filepath.Join(t.TempDir(), "target")
	if err := os.MkdirAll(filepath.Join(target, "entry"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(target, []byte("content"), 0o600); err == nil {
		t.Fatal("a directory was replaced by a file")
	}
	if _, err := os.Stat(filepath.Join(target, "entry")); err != nil {
		t.Fatalf("the previous target has changed: %v", err)
	}
	onlyFile(t, target)
}

func TestCloseWithoutCommitRemovesTheTemporaryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Fatalf("got %q, %v; want the previous content", got, err)
	}
	onlyFile(t, path)
}

func TestPublishedFileStaysOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Publish(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("appended"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "appended" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestConcurrentWritesLeaveOneWholeContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "view")
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 16 {
				if err := atomicfile.Write(path, bytes.Repeat([]byte{byte('a' + i)}, 4096), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	got, err := os.ReadFile(path)
	if err != nil || len(got) != 4096 || !bytes.Equal(got, bytes.Repeat(got[:1], 4096)) {
		t.Fatalf("the file mixes contents: %d bytes, %v", len(got), err)
	}
	onlyFile(t, path)
}

func TestAbandonedTemporaryFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	for name, age := range map[string]time.Duration{
		".journal.1.tmp": 2 * time.Hour, ".journal.2.tmp": 0, ".other.3.tmp": 2 * time.Hour,
	} {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := atomicfile.Write(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{".journal.1.tmp": false, ".journal.2.tmp": true, ".other.3.tmp": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s exists: %v, want %v", name, err == nil, want)
		}
	}
}

// onlyFile fails the test when the directory of path holds anything else.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Fatalf("the directory holds %v, %v; want %s only", entries, err, filepath.Base(path))
	}
}
