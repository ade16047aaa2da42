//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func table(t *testing.T) *Table {
	t.Helper()
	table, err := OpenTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

// mountDir returns a directory whose mounts are removed when the test ends.
func mountDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table(t).Clear(dir) })
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// device returns the device of a path, as mountinfo writes it.
func device(t *testing.T, path string) string {
	t.Helper()
	var stat unix.Stat_t
	must(t, unix.Stat(path, &stat))
	return fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
}

func TestTableFollowsTheKernel(t *testing.T) {
	dir, table := mountDir(t), table(t)
	point := filepath.Join(dir, "with space")
	must(t, MakeDir(point), MakeDir(point))
	for range 20 {
		if _, mounted, err := table.Top(point); err != nil || mounted {
			t.Fatalf("before mount: mounted %v, %v", mounted, err)
		}
		must(t, Tmpfs(point, 1<<20))
		if top, mounted, err := table.Top(point); err != nil || !mounted || top.Source != Source || top.Type != "tmpfs" || top.Device != device(t, point) {
			t.Fatalf("after mount: %+v, mounted %v, %v", top, mounted, err)
		}
		must(t, table.Clear(point))
	}
}

func TestClearUnmountsEverything(t *testing.T) {
	dir, table := mountDir(t), table(t)
	point := filepath.Join(dir, "a")
	beside := filepath.Join(dir, "ab")
	must(t, MakeDir(point), MakeDir(beside), Tmpfs(beside, 1<<20), Tmpfs(point, 1<<20), Tmpfs(point, 1<<20),
		MakeDir(filepath.Join(point, "b")), Tmpfs(filepath.Join(point, "b"), 1<<20))
	busy, err := os.Open(filepath.Join(point, "b"))
	must(t, err)
	defer func() { _ = busy.Close() }()
	must(t, table.CheckOurs(point), table.Clear(point), table.Clear(point))
	if left, err := table.Below(dir); err != nil || len(left) != 1 || left[0].Point != beside {
		t.Errorf("mounts left: %v, %v", left, err)
	}
	must(t, unix.Mount("other", point, "tmpfs", 0, ""))
	if err := table.CheckOurs(point); !errors.Is(err, ErrForeign) {
		t.Errorf("foreign mount: %v", err)
	}
}

func TestBindWithin(t *testing.T) {
	dir, table := mountDir(t), table(t)
	root, outside := filepath.Join(dir, "root"), filepath.Join(dir, "outside")
	must(t, os.MkdirAll(filepath.Join(root, "a", "b"), 0o755), os.MkdirAll(outside, 0o755),
		os.WriteFile(filepath.Join(root, "a", "b", "file"), []byte("x"), 0o600),
		os.Symlink("../outside", filepath.Join(root, "up")), os.Symlink(outside, filepath.Join(root, "away")),
		os.Symlink("a/b", filepath.Join(root, "inside")))
	for _, c := range []struct {
		name, sub string
		shown     string // a file that is visible then; empty if the call must fail
	}{
		{"everything", "", "a/b/file"},
		{"a directory", "a/b", "file"},
		{"a link that stays inside", "inside", "file"},
		{"a link upwards", "up", ""},
		{"an absolute link", "away", ""},
		{"upwards", "../outside", ""},
		{"a file", "a/b/file", ""},
		{"nothing", "c", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			point := filepath.Join(dir, "point")
			must(t, MakeDir(point))
			err := BindWithin(t.Context(), root, c.sub, point, true)
			if c.shown == "" {
				if _, mounted, _ := table.Top(point); err == nil || mounted {
					t.Fatalf("BindWithin returned %v, mounted %v", err, mounted)
				}
				return
			}
			must(t, err)
			shown := filepath.Join(point, c.shown)
			if _, err := os.Stat(shown); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(shown, nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("write returned %v, want EROFS", err)
			}
			must(t, table.Clear(point))
		})
	}
}

func TestBlockedCallIsAbandoned(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	hang, ended := make(chan struct{}), make(chan struct{})
	err := runUntil(ctx, func() error { defer close(ended); <-hang; return nil })
	if err == nil || !strings.Contains(err.Error(), "does not respond") {
		t.Errorf("runUntil returned %v", err)
	}
	close(hang)
	<-ended
}

func TestStat(t *testing.T) {
	usage, err := Stat(t.Context(), t.TempDir())
	if err != nil || usage.Bytes <= 0 || usage.Bytes < usage.BytesFree {
		t.Errorf("%+v, %v", usage, err)
	}
	if _, err := Stat(t.Context(), filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

// Containers get the node's propagated copy of a mount.
func TestReadOnlyWhereItIsPropagated(t *testing.T) {
	dir := mountDir(t)
	shared, from, peer := filepath.Join(dir, "shared"), filepath.Join(dir, "from"), filepath.Join(dir, "peer")
	must(t, MakeDir(shared), MakeDir(peer), MakeDir(from), Tmpfs(from, 1<<20), MakeDir(filepath.Join(from, "open")),
		Tmpfs(filepath.Join(from, "open"), 1<<20), Tmpfs(shared, 1<<20), unix.Mount("", shared, "", unix.MS_SHARED, ""), Bind(shared, peer))
	for _, name := range []string{"tree", "one"} {
		must(t, MakeDir(filepath.Join(shared, name)))
	}
	must(t, BindTree(from, filepath.Join(shared, "tree")), BindReadOnly(from, filepath.Join(shared, "one")))
	for _, name := range []string{"tree", "one"} {
		for _, where := range []string{shared, peer} {
			if err := os.WriteFile(filepath.Join(where, name, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("write in %s of %s: %v", name, where, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(peer, "tree", "open", "x"), nil, 0o600); err != nil {
		t.Errorf("write to the mount below: %v", err)
	}
}
