package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func openDir(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(ufs.Location{Scheme: "file", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestHungFileSystem checks that requests to a file system that does not respond end
// with their contexts, and that no more than maxOperations threads wait for it.
func TestHungFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openDir(t, dir)
	hung := make(chan struct{})
	var running, discarded atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	for range 3 * maxOperations {
		callers.Go(func() {
			_, err := run(ctx, s.reading, func() (int, error) { running.Add(1); <-hung; return 0, nil }, func(int) { discarded.Add(1) })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("an operation that hangs returned %v", err)
			}
		})
	}
	for len(s.reading) < maxOperations || running.Load() < maxOperations {
		time.Sleep(time.Millisecond)
	}
	cancel()
	callers.Wait()
	for name, request := range map[string]func(context.Context) error{
		"List": func(ctx context.Context) error { _, err := s.List(ctx, ufs.ListOptions{}); return err },
		"Stat": func(ctx context.Context) error { _, err := s.Stat(ctx, "file"); return err },
		"Get":  func(ctx context.Context) error { _, _, err := s.Get(ctx, "file", ufs.Whole, ""); return err },
	} {
		short, stop := context.WithTimeout(t.Context(), time.Millisecond)
		if err := request(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s returned %v", name, err)
		}
		stop()
	}
	if n := running.Load(); n != maxOperations {
		t.Errorf("%d operations wait for the file system", n)
	}
	close(hung)
	if o, err := s.Stat(t.Context(), "file"); err != nil || o.Size != 7 {
		t.Errorf("after it responds again: %+v, %v", o, err)
	}
	for discarded.Load() < maxOperations {
		time.Sleep(time.Millisecond)
	}
}

// TestFIFO checks that neither a FIFO in the place of the directory nor one in the
// place of a directory below it is waited for.
func TestFIFO(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := Open(ufs.Location{Scheme: "file", Dir: fifo}); !errors.Is(err, ufs.ErrInvalid) {
			t.Errorf("a FIFO as the directory: %v", err)
		}
		root, err := openTree(dir)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = root.Close() }()
		if names, err := (&nameCache{}).read(root, "fifo"); err == nil {
			t.Errorf("a FIFO lists %q", names)
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("opening a FIFO waits for its writer")
	}
}
