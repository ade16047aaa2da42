package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestGrepCountsLines(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "a/"+treePattern, "b", treePattern)
	if err := grepLines(t.Context(), dir, 2); err != nil {
		t.Error(err)
	}
	if err := grepLines(t.Context(), dir, 3); err == nil {
		t.Error("a line that is missing was not noticed")
	}
	if _, err := grep(t.Context(), t.TempDir()); err == nil {
		t.Error("an empty tree was searched without an error")
	}
}

// Trees are copied without modes and empty directories, as a store keeps them, and
// are clean for git all the same; a byte that differs is a change.
func TestTreesAreClean(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	err := writeTrees(t.Context(), dir, filepath.Join(t.TempDir(), "clone"), 2)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("the file system has no extended attributes")
	}
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if err := gitStatus(t.Context(), filepath.Join(dir, treeName(n))); err != nil {
			t.Error(err)
		}
	}
	first := filepath.Join(dir, treeName(0))
	if err := os.WriteFile(filepath.Join(first, "go.mod"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gitStatus(t.Context(), first); err == nil {
		t.Error("git status overlooked a change")
	}
}

func TestTimedLoad(t *testing.T) {
	w, err := timed(1500, func() error { return nil })
	if err != nil || thousandBytes(w) != 1.5 || w.throughput() != w.amount {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := timed(1, func() error { return context.Canceled }); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of the load is lost: %v", err)
	}
}
