//go:build linux

package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func TestPublishWaitsForAServer(t *testing.T) {
	s := newTestbed(t, nil)
	volume := s.filesRequest("reader", nil)
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no FUSE server") {
		t.Fatalf("publish without a server: %v", err)
	}
	if labels := s.cluster.labelled(); len(labels) != 1 || labels[0] != names.ScopeOf("ns", "hadoop", "").FuseNodeLabel() {
		t.Errorf("labels %v", labels)
	}
	session := s.inlineRequest("fuse", names.RoleFuse)
	s.mustPublish(session)
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "has not initialized") {
		t.Fatalf("publish before the server has started: %v", err)
	}
	s.startServer(session)
	s.mustPublish(volume)
	s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	if err := os.WriteFile(filepath.Join(volume.GetTargetPath(), "data", "new"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write returned %v, want EROFS", err)
	}
	s.mustUnpublish(volume)
	if found := s.mountsBelow(filepath.Join(s.kubelet, "pods", "reader")); len(found) > 0 {
		t.Errorf("mounts left: %v", found)
	}
	if _, err := os.Lstat(volume.GetTargetPath()); !os.IsNotExist(err) {
		t.Errorf("the target still exists: %v", err)
	}
	s.mustUnpublish(volume)
	s.mustUnpublish(session)
	s.mustUnpublish(session)
}

func TestPublishIsIdempotent(t *testing.T) {
	s := newTestbed(t, nil)
	session, volume, worker := s.inlineRequest("fuse", names.RoleFuse), s.filesRequest("reader", nil), s.inlineRequest("worker", names.RoleWorker)
	s.mustPublish(session)
	s.startServer(session)
	s.mustPublish(volume)
	s.mustPublish(worker)
	before, calls := s.mountsBelow(s.kubelet), s.cluster.labelCalls
	for range 20 {
		s.mustPublish(session)
		s.mustPublish(volume)
		s.mustPublish(worker)
	}
	if after := s.mountsBelow(s.kubelet); len(after) != len(before) {
		t.Errorf("mounts before %v, after %v", before, after)
	}
	if s.cluster.labelCalls != calls {
		t.Errorf("%d more API requests", s.cluster.labelCalls-calls)
	}
	other := s.filesRequest("reader", map[string]string{names.AttributeSubPath: "data"})
	if err := s.publish(other); status.Code(err) != codes.AlreadyExists {
		t.Errorf("other attributes at the same target: %v", err)
	}
}

func TestInlineVolumesShareSockets(t *testing.T) {
	s := newTestbed(t, nil)
	session, worker := s.inlineRequest("fuse", names.RoleFuse), s.inlineRequest("worker", names.RoleWorker)
	s.mustPublish(worker)
	s.mustPublish(session)
	// The server sees the sockets that a worker creates.
	if err := os.WriteFile(filepath.Join(worker.GetTargetPath(), "w0"), []byte("w"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(session.GetTargetPath(), names.SocketsDir, "w0")); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(filepath.Join(session.GetTargetPath(), "tls.key")); string(got) != "key" {
		t.Errorf("tls.key has content %q", got)
	}
	if err := os.WriteFile(filepath.Join(session.GetTargetPath(), "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write next to the certificate: %v, want EROFS", err)
	}
	session.Secrets["tls.key"] = "renewed"
	s.mustPublish(session)
	if got, _ := os.ReadFile(filepath.Join(session.GetTargetPath(), "tls.key")); string(got) != "renewed" {
		t.Errorf("tls.key has content %q", got)
	}
	s.mustUnpublish(session)
	s.mustUnpublish(worker)
	if found := s.mountsBelow(s.kubelet); len(found) > 0 {
		t.Errorf("mounts left: %v", found)
	}
}

func TestSubPath(t *testing.T) {
	s := newTestbed(t, nil)
	session := s.inlineRequest("fuse", names.RoleFuse)
	s.mustPublish(session)
	s.startServer(session)
	volume := s.filesRequest("reader", map[string]string{names.AttributeSubPath: "/data/sub"})
	s.mustPublish(volume)
	s.read(filepath.Join(volume.GetTargetPath(), "inner"))
	for _, path := range []string{"data/nothing", "data/hello"} {
		missing := s.filesRequest("other", map[string]string{names.AttributeSubPath: path})
		if err := s.publish(missing); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), path) {
			t.Errorf("sub path %s: %v", path, err)
		}
		s.mustUnpublish(missing)
	}
}

func TestOnDemandRemovesTheMount(t *testing.T) {
	s := newTestbed(t, func(c *Config) { c.IdleTimeout = 10 * time.Millisecond })
	session := s.inlineRequest("fuse", names.RoleFuse)
	s.mustPublish(session)
	s.startServer(session)
	first := s.filesRequest("first", map[string]string{names.AttributeCleanPolicy: "OnDemand"})
	second := s.filesRequest("second", map[string]string{names.AttributeCleanPolicy: "OnDemand"})
	s.mustPublish(first)
	s.mustPublish(second)
	s.mustUnpublish(first)
	s.read(filepath.Join(second.GetTargetPath(), "data", "hello"))
	s.mustUnpublish(second)
	if s.node.runtime(s.node.store.All()[0].Runtime).manager.Device() != "" {
		t.Error("the mount still exists")
	}
	s.eventually("the label is removed", func() bool { return len(s.cluster.labelled()) == 0 })
	s.mustPublish(first)
	s.read(filepath.Join(first.GetTargetPath(), "data", "hello"))
	s.mustUnpublish(first)
	s.mustUnpublish(session)
	s.eventually("everything is removed", func() bool {
		left, err := filepath.Glob(filepath.Join(s.node.dir(), "*_*"))
		return err == nil && len(left) == 0 && len(s.mountsBelow(s.kubelet)) == 0
	})
}

func TestPublishWithoutTheAPIServer(t *testing.T) {
	s := newTestbed(t, nil)
	s.cluster.err = errors.New("API server is unavailable")
	volume := s.filesRequest("reader", nil)
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "API server is unavailable") {
		t.Errorf("publish without label and server: %v", err)
	}
	session := s.inlineRequest("fuse", names.RoleFuse)
	s.mustPublish(session)
	s.startServer(session)
	s.mustPublish(volume)
	s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
}

func TestVolumesOfDeletedPodsAreRemoved(t *testing.T) {
	s := newTestbed(t, func(c *Config) { c.IdleTimeout = 10 * time.Millisecond })
	session, worker := s.inlineRequest("fuse", names.RoleFuse), s.inlineRequest("worker", names.RoleWorker)
	s.mustPublish(session)
	s.mustPublish(worker)
	// As after a crash of the node: there are no mounts, and the kubelet has
	// removed the pods' directories.
	for _, e := range s.mountsBelow(s.kubelet) {
		if err := unix.Unmount(e.Point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(s.kubelet, "pods")); err != nil {
		t.Fatal(err)
	}
	s.restart(func(c *Config) { c.IdleTimeout = 10 * time.Millisecond })
	s.eventually("everything is removed", func() bool {
		left, err := filepath.Glob(filepath.Join(s.node.dir(), "*_*"))
		return err == nil && len(left) == 0 && len(s.node.store.All()) == 0
	})
}

// TestLabelOfVolume checks that a volume names the label of nodes, also after a restart,
// and that no other label can be requested.
func TestLabelOfVolume(t *testing.T) {
	s := newTestbed(t, nil)
	scope := names.ScopeOf("ns", "hadoop", "").Distinct(0)
	request := func(label string) error {
		return s.publish(s.filesRequest("reader", map[string]string{names.AttributeNodeSelectorKey: label}))
	}
	for _, label := range []string{"node-role.kubernetes.io/control-plane", "fluid.io/s-ns-hadoop", "fluid.io/f-", "fluid.io/f-a/b", "fluid.io/f-" + strings.Repeat("x", 70)} {
		if err := request(label); status.Code(err) != codes.InvalidArgument || len(s.cluster.labelled()) > 0 {
			t.Errorf("label %q: %v, labels %v", label, err, s.cluster.labelled())
		}
	}
	if err := request(scope.FuseNodeLabel()); status.Code(err) != codes.Unavailable {
		t.Fatalf("publish without a server: %v", err)
	}
	if labels := s.cluster.labelled(); len(labels) != 1 || labels[0] != scope.FuseNodeLabel() {
		t.Errorf("labels %v, want %s", labels, scope.FuseNodeLabel())
	}
	s.restart(nil)
	if label := s.node.runtime(records.Runtime{Namespace: "ns", Name: "hadoop"}).label; label != scope.FuseNodeLabel() {
		t.Errorf("label %s after a restart, want %s", label, scope.FuseNodeLabel())
	}
}
