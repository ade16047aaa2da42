//go:build linux

package mountmanager

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryStore is an FDStore that keeps duplicates of the files, as the real one
// does.
type memoryStore map[string][]*os.File

func (s memoryStore) Store(e fdstore.Entry) error {
	_ = s.Remove(e.Key)
	for _, f := range e.Files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		s[e.Key] = append(s[e.Key], os.NewFile(uintptr(fd), f.Name()))
	}
	return nil
}

func (s memoryStore) Remove(key string) error {
	for _, f := range s[key] {
		_ = f.Close()
	}
	delete(s, key)
	return nil
}

// newConfig returns the configuration of a mount below a temporary directory.
func newConfig(t *testing.T, store memoryStore) Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mountpoint := filepath.Join(dir, "mnt")
	t.Cleanup(func() {
		_ = unix.Unmount(mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		_ = store.Remove("key")
	})
	return Config{
		Runtime: records.Runtime{Namespace: "ns", Name: "hadoop"}, Key: "key", Mountpoint: mountpoint, FDStore: store,
		ServeTimeout: time.Hour, TerminatingTimeout: time.Hour, Logger: slog.New(slog.DiscardHandler),
	}
}

func ensure(t *testing.T, m *Manager) string {
	t.Helper()
	if err := m.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m.Device()
}

// Serving returns what is missing, in the order in which it appears.
func TestServing(t *testing.T) {
	store := memoryStore{}
	config := newConfig(t, store)
	m := New(config)
	check := func(want string) {
		t.Helper()
		if err := m.Serving(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Serving returned %v, want %q", err, want)
		}
	}
	check("not mounted")
	device := ensure(t, m)
	if again := ensure(t, m); device == "" || again != device {
		t.Errorf("the second Ensure mounted again: device %s, then %s", device, again)
	}
	check("no FUSE server")
	m.SetServerSocket(filepath.Join(filepath.Dir(config.Mountpoint), "s"))
	check("has not initialized")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Wait(ctx); err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has not initialized") {
		t.Errorf("Wait returned %v, want the result of Serving", err)
	}
	m.Unmount()
	check("not mounted")
	if mounted, err := fusefd.Mounted(config.Mountpoint); err != nil || mounted || len(store) > 0 {
		t.Errorf("after Unmount: mounted %v, %v, stored %v", mounted, err, store)
	}
}

// A successor takes over the mount by the stored files.
func TestAdopt(t *testing.T) {
	store := memoryStore{}
	config := newConfig(t, store)
	m := New(config)
	device := ensure(t, m)
	m.Release()
	successor := New(config)
	if err := successor.Adopt(nil); err == nil {
		t.Error("Adopt succeeded without files")
	}
	files := store["key"]
	delete(store, "key")
	if err := successor.Adopt(files); err != nil {
		t.Fatal(err)
	}
	if got := ensure(t, successor); got != device {
		t.Errorf("device %s, want %s", got, device)
	}
	if len(store["key"]) != 2 {
		t.Errorf("%d files stored after Adopt, want 2", len(store["key"]))
	}
	successor.Unmount()
}

// Tick aborts a mount that has had no server for too long, sooner if all pods that
// use it are terminating.
func TestTick(t *testing.T) {
	for _, test := range []struct {
		name        string
		change      func(*Config)
		terminating bool
		lost        bool
	}{
		{"within both timeouts", func(*Config) {}, true, false},
		{"serve timeout", func(c *Config) { c.ServeTimeout = time.Nanosecond }, false, true},
		{"terminating timeout", func(c *Config) { c.TerminatingTimeout = time.Nanosecond }, true, true},
		{"terminating timeout, pods are running", func(c *Config) { c.TerminatingTimeout = time.Nanosecond }, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := newConfig(t, memoryStore{})
			test.change(&config)
			m := New(config)
			ensure(t, m)
			if lost := m.Tick(test.terminating); lost != test.lost || (m.Device() == "") != test.lost {
				t.Errorf("Tick returned %v, device %q, want lost %v", lost, m.Device(), test.lost)
			}
			if ensure(t, m) == "" {
				t.Error("Ensure did not mount again")
			}
			m.Unmount()
		})
	}
}
