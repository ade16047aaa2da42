package s3server

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestFindNamedBinary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "versitygw")
	t.Setenv("JINDO_VERSITYGW", path)
	if found, err := Find(t.Context(), io.Discard); err == nil {
		t.Errorf("found %s, which does not exist", found)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := Find(t.Context(), io.Discard); err != nil || found != path {
		t.Errorf("found %s, %v", found, err)
	}
}

func TestPinned(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	version, err := pinned(root)
	if err != nil || len(version) < 6 || version[0] != 'v' {
		t.Errorf("%q, %v", version, err)
	}
	if _, err := pinned(t.TempDir()); err == nil {
		t.Error("a version out of nowhere")
	}
}

func TestStartFails(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "versitygw")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho no such option >&2\nexit 2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(t.Context(), Config{Binary: binary, Dir: t.TempDir()}); err == nil {
		s.Stop()
		t.Error("a server that ended was started")
	}
}
