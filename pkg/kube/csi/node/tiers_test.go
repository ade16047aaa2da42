//go:build linux

package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mount/fusefs"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// sealed is the content of a test's server. For each symlink NAME in dir, the file
// /data/NAME has the target as its backing. The bytes of the server differ from those
// of the backing, so that a test sees which of them the kernel returns.
type sealed struct {
	memory
	dir string
}

const (
	sealedSize = 600 << 10
	byServer   = 's'
	byKernel   = 'k'
)

func (s sealed) Lookup(_ context.Context, _, dir, name string) (reader.Entry, error) {
	if _, err := os.Lstat(filepath.Join(s.dir, name)); dir != "" || err != nil {
		return reader.Entry{}, reader.ErrNotExist
	}
	return reader.Entry{
		Name: name, Modified: time.Unix(1700000000, 0),
		Version: reader.Version{Mount: "m", Key: name, ETag: "e", Size: sealedSize},
	}, nil
}

func (s sealed) Open(context.Context, reader.Version) (fusefs.File, error) { return serverBytes{}, nil }

func (s sealed) Backing(_ context.Context, v reader.Version) (reader.Backing, error) {
	file, err := os.Open(filepath.Join(s.dir, v.Key))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", reader.ErrNotSealed, err)
	}
	return lentFile{file}, nil
}

type serverBytes struct{}

func (serverBytes) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	n := copy(p, bytes.Repeat([]byte{byServer}, int(max(0, min(int64(len(p)), sealedSize-off)))))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (serverBytes) Close() error { return nil }

type lentFile struct{ file *os.File }

func (f lentFile) Descriptor() *os.File   { return f.file }
func (lentFile) Used()                    {}
func (lentFile) Revoked() <-chan struct{} { return nil }
func (lentFile) Lost() <-chan struct{}    { return nil }
func (f lentFile) Close() error           { return f.file.Close() }

// makeSealed makes a file NAME of the server, whose backing is below a tier.
func (s *testbed) makeSealed(dir, name, tier string) {
	s.t.Helper()
	path := filepath.Join(tier, "blocks-v1", "ab", name+".data")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte{byKernel}, sealedSize), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// emptyDir returns the directory of a pod's emptyDir.
func (s *testbed) emptyDir(pod, volume string) string {
	return filepath.Join(s.kubelet, "pods", pod, "volumes", "kubernetes.io~empty-dir", volume)
}

// nodeRoot is the root directory of the node.
func (s *testbed) nodeRoot() string { return filepath.Join(filepath.Dir(s.kubelet), "root") }

// withHostPaths allows directories of the node, of which the last one is a symlink of
// the administrator.
func withHostPaths(c *Config) {
	c.NodeRoot, c.HostPaths = filepath.Join(filepath.Dir(c.KubeletDir), "root"), []string{"/mnt/absent", "/mnt/disk1", "/mnt/disk2"}
}

// bytesOf returns which bytes an open file has, after it has read all of them.
func (s *testbed) bytesOf(f io.ReaderAt) byte {
	s.t.Helper()
	got := make([]byte, sealedSize)
	if _, err := f.ReadAt(got, 0); err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.Repeat(got[:1], sealedSize)) {
		s.t.Fatal("the bytes are mixed")
	}
	return got[0]
}

// openBytes returns which bytes a new handle of a file reads.
func (s *testbed) openBytes(path string) byte {
	s.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return s.bytesOf(f)
}

// needsKernel waits until the kernel reads a file itself, and skips the test if this
// kernel cannot.
func (s *testbed) needsKernel(path string) {
	s.t.Helper()
	if !kernelReads() {
		s.t.Skip("not run: this kernel has no FUSE passthrough (Linux 6.9)")
	}
	s.eventually("the kernel reads "+path, func() bool { return s.openBytes(path) == byKernel })
}

// openByKernel opens a file until the end of the test, so that the kernel reads it
// itself. A registration may fail on a busy machine.
func (s *testbed) openByKernel(path string) (open *os.File) {
	s.t.Helper()
	s.eventually("the kernel reads a handle of "+path, func() bool {
		f, err := os.Open(path)
		if err != nil {
			s.t.Fatal(err)
		}
		if s.bytesOf(f) != byKernel {
			_ = f.Close()
			return false
		}
		s.t.Cleanup(func() { _ = f.Close() })
		open = f
		return true
	})
	return open
}

func kernelReads() bool {
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err != nil {
		return false
	}
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 9)
}

// sealedMount publishes a mount and starts its server, in a pod of the DaemonSet or as
// a sidecar. It returns the directory of the mount.
func (s *testbed) sealedMount(sidecar bool, dir string) string {
	s.t.Helper()
	var volume *csi.NodePublishVolumeRequest
	if sidecar {
		inline := s.sidecarRequest("pod", "ns-hadoop")
		volume = s.datasetRequest("pod", "hadoop")
		s.publishOnce(inline)
		s.publishOnce(volume)
		at := volumeDirAt(inline, "ns-hadoop")
		s.process("sealed", filepath.Join(at, names.SessionSocket), filepath.Join(at, names.StateDir), dir)
	} else {
		session := s.inlineRequest("fuse", names.RoleFuse)
		volume = s.filesRequest("reader", nil)
		s.mustPublish(session)
		s.process("sealed", filepath.Join(session.GetTargetPath(), names.SessionSocket), s.t.TempDir(), dir)
		s.mustPublish(volume)
	}
	return filepath.Join(volume.GetTargetPath(), "data")
}

// bothServers runs a test with a server of the DaemonSet, and with a sidecar.
func bothServers(t *testing.T, test func(t *testing.T, sidecar bool)) {
	for name, sidecar := range map[string]bool{"DaemonSet": false, "sidecar": true} {
		t.Run(name, func(t *testing.T) { test(t, sidecar) })
	}
}

// TestOnlyTiersOfTheRuntimeAreRegistered has servers register files in and outside the
// tiers of the runtime's workers.
func TestOnlyTiersOfTheRuntimeAreRegistered(t *testing.T) {
	bothServers(t, func(t *testing.T, sidecar bool) {
		s := newTestbed(t, withHostPaths)
		dir, root := t.TempDir(), s.nodeRoot()
		worker, other := s.inlineRequest("worker", names.RoleWorker), s.inlineRequest("other", names.RoleWorker)
		other.VolumeContext[names.AttributeRuntimeName] = "other"
		s.mustPublish(worker)
		s.mustPublish(other)
		if err := os.MkdirAll(filepath.Join(root, "mnt"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/data/disk2", filepath.Join(root, "mnt/disk2")); err != nil {
			t.Fatal(err)
		}
		accepted := map[string]string{
			"empty-dir": s.emptyDir("worker", "tier-0"), "second-empty-dir": s.emptyDir("worker", "tier-1"),
			"host-path": filepath.Join(root, "mnt/disk1/ns/hadoop/jindofs/tier"),
			"linked":    filepath.Join(root, "data/disk2/ns/hadoop/jindofs/tier"),
		}
		refused := map[string]string{
			"elsewhere": t.TempDir(), "not-a-tier": s.emptyDir("worker", "scratch"),
			"reader": s.emptyDir("pod", "tier-0"), "other-worker": s.emptyDir("other", "tier-0"),
			"other-host-path": filepath.Join(root, "mnt/disk1/ns/other/jindofs/tier"),
			"not-allowed":     filepath.Join(root, "mnt/disk3/ns/hadoop/jindofs/tier"),
			"data":            filepath.Join(root, "mnt/disk1/ns/hadoop/jindofs/data"),
		}
		for _, places := range []map[string]string{accepted, refused} {
			for name, tier := range places {
				s.makeSealed(dir, name, tier)
			}
		}
		s.makeSealed(dir, "first", s.emptyDir("worker", "tier-0"))
		at := s.sealedMount(sidecar, dir)
		s.needsKernel(filepath.Join(at, "first"))
		for name := range refused {
			if got := s.openBytes(filepath.Join(at, name)); got != byServer {
				t.Errorf("%s: the kernel reads it", name)
			}
		}
		for name := range accepted {
			s.eventually("the kernel reads "+name, func() bool { return s.openBytes(filepath.Join(at, name)) == byKernel })
		}
		// Later files of a worker that is gone are refused; open handles continue.
		open := s.openByKernel(filepath.Join(at, "first"))
		s.makeSealed(dir, "late", s.emptyDir("worker", "tier-0"))
		s.mustUnpublish(worker)
		if got := s.openBytes(filepath.Join(at, "late")); got != byServer {
			t.Error("the kernel reads a file of a worker that is gone")
		}
		if got := s.bytesOf(open); got != byKernel {
			t.Error("the server reads a handle that the kernel read")
		}
	})
}

// TestSymlinksBelowHostPathsAreNotFollowed has another runtime's worker replace the
// directories of tiers by symlinks.
func TestSymlinksBelowHostPathsAreNotFollowed(t *testing.T) {
	for _, link := range []string{"ns", "ns/hadoop", "ns/hadoop/jindofs", "ns/hadoop/jindofs/tier"} {
		s := newTestbed(t, withHostPaths)
		victim := filepath.Join(s.nodeRoot(), "mnt/disk1/victim")
		path := filepath.Join(s.nodeRoot(), "mnt/disk1", link)
		below, err := filepath.Rel(link, "ns/hadoop/jindofs/tier")
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Join(victim, below), filepath.Dir(path)} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		target, err := filepath.Rel(filepath.Dir(path), victim)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if at, err := os.Stat(filepath.Join(path, below)); err != nil || !at.IsDir() {
			t.Fatalf("the link does not lead to a directory: %v", err)
		}
		if found := s.node.tiers(records.Runtime{Namespace: "ns", Name: "hadoop"}); len(found) != 0 {
			t.Errorf("%s: found %d tiers", link, len(found))
		}
		s.stopNode()
	}
}

// TestKernelReadsAcrossPluginRestarts checks handles that the kernel reads while the
// plugin is away and after it was replaced, and files that are opened meanwhile.
func TestKernelReadsAcrossPluginRestarts(t *testing.T) {
	bothServers(t, func(t *testing.T, sidecar bool) {
		s := newTestbed(t, nil)
		dir := t.TempDir()
		s.mustPublish(s.inlineRequest("worker", names.RoleWorker))
		for _, name := range []string{"open", "away", "later"} {
			s.makeSealed(dir, name, s.emptyDir("worker", "tier-0"))
		}
		at := s.sealedMount(sidecar, dir)
		s.needsKernel(filepath.Join(at, "open"))
		open := s.openByKernel(filepath.Join(at, "open"))
		s.stopNode()
		if got := s.openBytes(filepath.Join(at, "away")); got != byServer {
			t.Error("a file is registered without the plugin")
		}
		if got := s.openBytes(filepath.Join(at, "open")); got != byKernel {
			t.Errorf("another handle reads %q", got)
		}
		s.start(nil)
		if got := s.bytesOf(open); got != byKernel {
			t.Errorf("the handle reads %q after the restart", got)
		}
		for _, name := range []string{"away", "later"} {
			s.eventually("the kernel reads "+name, func() bool { return s.openBytes(filepath.Join(at, name)) == byKernel })
		}
	})
}

// TestHiddenHostPaths checks that the plugin notices allowed directories that are not
// mounted in its container, and not those that a node does not have.
func TestHiddenHostPaths(t *testing.T) {
	s := newTestbed(t, withHostPaths)
	mounted := filepath.Join(s.nodeRoot(), "mnt")
	if err := os.MkdirAll(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := s.node.hiddenHostPaths(); len(got) != 3 {
		t.Errorf("without a mount, %q are hidden", got)
	}
	if err := unix.Mount("tiers", mounted, "tmpfs", unix.MS_RDONLY, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mounted, unix.MNT_DETACH) })
	if got := s.node.hiddenHostPaths(); len(got) != 0 {
		t.Errorf("with a mount, %q are hidden", got)
	}
}
