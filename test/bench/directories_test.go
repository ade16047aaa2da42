package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestListReadsEveryEntry(t *testing.T) {
	const files = 2500 // more than one batch
	dir := t.TempDir()
	if err := emptyFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	if w, err := list(t.Context(), dir, files); err != nil || w.amount != files {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := list(t.Context(), dir, files+1); err == nil {
		t.Error("a directory with an entry less was accepted")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := list(ended, dir, files); err == nil {
		t.Error("a listing went on after its context")
	}
}

// The growth of a mount's memory is divided by the entries of the load; a contender
// without processes has none.
func TestGrowth(t *testing.T) {
	memory := entryMemory("m", "M", "")
	var held []byte
	for name, client := range map[string][]int{ours: {os.Getpid()}, "plain file": nil} {
		_, err := grow(t.Context(), memory, contender{name: name, client: client}, func() (work, error) {
			held = make([]byte, 64*mib)
			for i := 0; i < len(held); i += 4096 {
				held[i] = 1
			}
			return work{1024, 1, 1024}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(held) == 0 || len(memory.Entries) != 1 || len(memory.entry(ours).Figures) != 1 {
		t.Errorf("the entries are %+v", memory.Entries)
	}
	if got := memory.entry(ours).Figures[0]; got < 32*1024 {
		t.Errorf("64 MiB for 1,024 entries were measured as %.0f bytes an entry", got)
	}
}

// writeFiles writes files with their names as content.
func writeFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fmt.Appendln(nil, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
