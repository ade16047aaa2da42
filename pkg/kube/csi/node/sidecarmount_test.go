//go:build linux

package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// sidecarRequest returns a publish request for the inline volume of a sidecar, and
// gives the pod a sidecar that serves handles.
func (s *testbed) sidecarRequest(pod string, handles ...string) *csi.NodePublishVolumeRequest {
	s.cluster.mu.Lock()
	s.cluster.sidecars[pod] = handles
	s.cluster.mu.Unlock()
	return &csi.NodePublishVolumeRequest{
		VolumeId: "csi-" + pod, TargetPath: s.target(pod, names.SidecarVolume), VolumeCapability: directory(),
		VolumeContext: podContext(pod, map[string]string{
			contextEphemeral: "true", names.AttributeRole: names.RoleSidecar, names.AttributeVolumes: strings.Join(handles, ","),
		}),
	}
}

// datasetRequest returns a publish request with the attributes of a dataset's
// PersistentVolume.
func (s *testbed) datasetRequest(pod, name string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId: "ns-" + name, TargetPath: s.target(pod, name), Readonly: true, VolumeCapability: directory(),
		VolumeContext: podContext(pod, map[string]string{
			names.AttributeRuntimeNamespace: "ns", names.AttributeRuntimeName: name, names.AttributeMountType: "jindo",
			names.AttributeCleanPolicy: "OnDemand",
		}),
		Secrets: map[string]string{"roster.json": `{"name":"` + name + `"}`, "ca.crt": "ca", "tls.crt": "crt", "tls.key": "key", "args.json": `["--uid=7"]`},
	}
}

func volumeDirAt(sidecar *csi.NodePublishVolumeRequest, handle string) string {
	return filepath.Join(sidecar.GetTargetPath(), names.SidecarMounts, handle)
}

// startSidecarServer starts the sidecar's server of one volume.
func (s *testbed) startSidecarServer(sidecar *csi.NodePublishVolumeRequest, handle string) (kill func()) {
	s.t.Helper()
	dir := volumeDirAt(sidecar, handle)
	return s.process("server", filepath.Join(dir, names.SessionSocket), filepath.Join(dir, names.StateDir))
}

// checkNothingLeft checks that nothing of a pod is left on the node.
func (s *testbed) checkNothingLeft(pod string) {
	s.t.Helper()
	if found := s.mountsBelow(filepath.Join(s.kubelet, "pods", pod)); len(found) > 0 {
		s.t.Errorf("mounts left: %v", found)
	}
	if _, err := os.Lstat(s.node.sidecarDir(pod)); !os.IsNotExist(err) {
		s.t.Errorf("the sidecar directory still exists: %v", err)
	}
	for _, v := range s.node.store.All() {
		if v.Pod.UID == pod {
			s.t.Errorf("record left: %+v", v)
		}
	}
	for _, o := range s.node.allSidecarMounts() {
		if o.volume.Pod.UID == pod {
			s.t.Errorf("sidecar mount left: %s", o.volume.Target)
		}
	}
}

// publishOnce publishes without a retry: volumes of a pod with a sidecar must not
// wait for the sidecar.
func (s *testbed) publishOnce(req *csi.NodePublishVolumeRequest) {
	s.t.Helper()
	if err := s.publish(req); err != nil {
		s.t.Fatal(err)
	}
}

func TestSidecarVolumesInEveryOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		s := newTestbed(t, func(c *Config) { c.IdleTimeout = 10 * time.Millisecond })
		sidecar, first, second := s.sidecarRequest("pod", "ns-first", "ns-second"), s.datasetRequest("pod", "first"), s.datasetRequest("pod", "second")
		all := []*csi.NodePublishVolumeRequest{sidecar, first, second}
		for _, i := range order {
			s.publishOnce(all[i])
		}
		for name, want := range map[string]string{"roster.json": `{"name":"first"}`, "args.json": `["--uid=7"]`, "tls.key": "key"} {
			if got, err := os.ReadFile(filepath.Join(volumeDirAt(sidecar, "ns-first"), name)); err != nil || string(got) != want {
				t.Errorf("%v: %s has content %q, %v", order, name, got, err)
			}
		}
		s.startSidecarServer(sidecar, "ns-first")
		s.startSidecarServer(sidecar, "ns-second")
		for _, volume := range all[1:] {
			s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
		}
		for _, i := range order {
			s.mustUnpublish(all[i])
		}
		s.checkNothingLeft("pod")
		if labels := s.cluster.labelled(); len(labels) > 0 {
			t.Errorf("%v: labels %v, want none", order, labels)
		}
		s.eventually("everything is removed", func() bool {
			left, err := filepath.Glob(filepath.Join(s.node.dir(), "*_*"))
			return err == nil && len(left) == 0 && len(s.mountsBelow(s.kubelet)) == 0
		})
		s.stopNode()
	}
}

func TestSidecarVolumePermissions(t *testing.T) {
	s := newTestbed(t, nil)
	sidecar, volume, worker := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop"), s.inlineRequest("worker", names.RoleWorker)
	s.publishOnce(sidecar)
	s.publishOnce(volume)
	s.publishOnce(worker)
	dir := volumeDirAt(sidecar, "ns-hadoop")
	for _, path := range []string{sidecar.GetTargetPath(), filepath.Join(sidecar.GetTargetPath(), names.SidecarMounts), dir, filepath.Join(dir, names.SocketsDir)} {
		if err := os.WriteFile(filepath.Join(path, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("write in %s: %v", path, err)
		}
	}
	for _, path := range []string{filepath.Join(sidecar.GetTargetPath(), names.StateDir), filepath.Join(dir, names.StateDir)} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o777 || info.Mode()&os.ModeSticky == 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		if err := os.WriteFile(filepath.Join(path, "x"), nil, 0o600); err != nil {
			t.Errorf("write in %s: %v", path, err)
		}
	}
	if err := os.WriteFile(filepath.Join(sidecar.GetTargetPath(), names.StateDir, "large"), make([]byte, 2*scratchSize), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write beyond the size of the scratch directory: %v, want ENOSPC", err)
	}
	// The sidecar sees a worker's sockets, and a renewed certificate.
	if err := os.WriteFile(filepath.Join(worker.GetTargetPath(), "w0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, names.SocketsDir, "w0")); err != nil {
		t.Error(err)
	}
	volume.Secrets["tls.key"] = "renewed"
	s.publishOnce(volume)
	if got, _ := os.ReadFile(filepath.Join(dir, "tls.key")); string(got) != "renewed" {
		t.Errorf("tls.key has content %q", got)
	}
}

func TestPublishWithSidecarIsIdempotent(t *testing.T) {
	s := newTestbed(t, nil)
	sidecar, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
	s.publishOnce(volume)
	s.publishOnce(sidecar)
	s.startSidecarServer(sidecar, "ns-hadoop")
	s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	before, labelCalls, sidecarCalls := s.mountsBelow(s.kubelet), s.cluster.labelCalls, s.cluster.sidecarCalls
	for range 20 {
		s.publishOnce(sidecar)
		s.publishOnce(volume)
	}
	if after := s.mountsBelow(s.kubelet); !slices.Equal(before, after) {
		t.Errorf("mounts before %v, after %v", before, after)
	}
	if s.cluster.labelCalls != labelCalls || s.cluster.sidecarCalls != sidecarCalls {
		t.Error("publish sent API requests again")
	}
}

func TestSidecarMountSurvives(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(s *testbed, kill func(), start func() func())
	}{
		{"the server", func(_ *testbed, kill func(), start func() func()) { kill(); start() }},
		{"the plugin", func(s *testbed, _ func(), _ func() func()) { s.restart(nil) }},
		{"the server and the plugin", func(s *testbed, kill func(), start func() func()) { kill(); s.restart(nil); start() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestbed(t, nil)
			sidecar, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
			s.publishOnce(sidecar)
			s.publishOnce(volume)
			kill := func() {}
			start := func() func() { kill = s.startSidecarServer(sidecar, "ns-hadoop"); return kill }
			start()
			r := s.startReading(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			defer s.stopReading(r)
			before := s.mountsBelow(s.kubelet)
			for range 2 {
				s.waitForReads(r)
				c.act(s, kill, start)
				s.mustPublish(volume)
				s.mustPublish(sidecar)
				s.waitForReads(r)
			}
			// The current plugin hands the mount off to the next server.
			kill()
			start()
			s.waitForReads(r)
			if after := s.mountsBelow(s.kubelet); !slices.Equal(before, after) {
				t.Errorf("mounts before %v, after %v", before, after)
			}
			if len(s.cluster.events) > 0 {
				t.Errorf("events %v", s.cluster.events)
			}
		})
	}
}

func TestPodsWithAndWithoutSidecar(t *testing.T) {
	s := newTestbed(t, nil)
	sidecar, own := s.sidecarRequest("brings", "ns-hadoop"), s.datasetRequest("brings", "hadoop")
	session, plain := s.inlineRequest("fuse", names.RoleFuse), s.datasetRequest("plain", "hadoop")
	s.publishOnce(sidecar)
	s.publishOnce(own)
	s.startSidecarServer(sidecar, "ns-hadoop")
	if err := s.publish(plain); status.Code(err) != codes.Unavailable {
		t.Fatalf("publish without a server: %v", err)
	}
	if labels := s.cluster.labelled(); len(labels) != 1 {
		t.Errorf("labels %v, want one: the plain pod needs a server", labels)
	}
	s.mustPublish(session)
	killShared := s.startServer(session)
	s.mustPublish(plain)
	s.read(filepath.Join(plain.GetTargetPath(), "data", "hello"))
	s.read(filepath.Join(own.GetTargetPath(), "data", "hello"))
	// Neither pod depends on the other's server or volumes.
	killShared()
	s.read(filepath.Join(own.GetTargetPath(), "data", "sub", "inner"))
	s.startServer(session)
	s.mustUnpublish(own)
	s.mustUnpublish(sidecar)
	s.checkNothingLeft("brings")
	s.read(filepath.Join(plain.GetTargetPath(), "data", "sub", "inner"))
	s.mustUnpublish(plain)
	if s.node.runtime(s.node.store.All()[0].Runtime).manager.Device() != "" {
		t.Error("the shared mount still exists after its last pod")
	}
}

func TestReadersOfADeadSidecar(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*Config)
		terminating bool
	}{
		{"the pod is being deleted", func(c *Config) { c.TerminatingTimeout = 100 * time.Millisecond }, true},
		{"no server for too long", func(c *Config) { c.ServeTimeout = 300 * time.Millisecond }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestbed(t, nil)
			sidecar, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
			s.publishOnce(sidecar)
			s.publishOnce(volume)
			kill := s.startSidecarServer(sidecar, "ns-hadoop")
			s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			kill()
			s.restart(c.change) // with these timeouts the first start could fail
			result := s.readInBackground(filepath.Join(volume.GetTargetPath(), "data", "sub", "inner"))
			s.cluster.mu.Lock()
			s.cluster.terminating["pod"] = c.terminating
			s.cluster.mu.Unlock()
			select {
			case err := <-result:
				if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("read returned %v, want ENOTCONN or ECONNABORTED", err)
				}
			case <-time.After(testTimeout):
				t.Fatal("read is still blocked")
			}
			s.eventually("the mount is unmounted", func() bool { return s.node.managerOfVolume(s.node.store.OfPod("pod")[0]).Device() == "" })
			err := s.publish(volume)
			if c.terminating && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "being deleted")) {
				t.Errorf("publish for a terminating pod: %v", err)
			}
			if !c.terminating {
				s.startSidecarServer(sidecar, "ns-hadoop")
				s.eventually("the new mount is readable", func() bool {
					s.mustPublish(volume)
					got, err := os.ReadFile(filepath.Join(volume.GetTargetPath(), "data", "hello"))
					return err == nil && string(got) == content
				})
			}
			s.mustUnpublish(volume)
			s.mustUnpublish(sidecar)
			s.checkNothingLeft("pod")
		})
	}
}

func TestUnpublishDoesNotWaitForADeadSidecar(t *testing.T) {
	s := newTestbed(t, nil)
	sidecar, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
	s.publishOnce(volume)
	s.publishOnce(sidecar)
	result := s.readInBackground(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	_, err := s.node.NodeGetVolumeStats(context.Background(), &csi.NodeGetVolumeStatsRequest{VolumeId: volume.GetVolumeId(), VolumePath: volume.GetTargetPath()})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("stats of a mount without a server: %v", err)
	}
	s.mustUnpublish(sidecar)
	s.mustUnpublish(volume)
	s.mustUnpublish(volume)
	select {
	case err := <-result:
		if err == nil {
			t.Error("the read succeeded")
		}
	case <-time.After(testTimeout):
		t.Fatal("read is still blocked")
	}
	s.checkNothingLeft("pod")
}

func TestSidecarsOfDeletedPodsAreRemoved(t *testing.T) {
	s := newTestbed(t, nil)
	sidecar, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
	s.publishOnce(sidecar)
	s.publishOnce(volume)
	for _, e := range s.mountsBelow(filepath.Join(s.kubelet, "pods")) {
		_ = unix.Unmount(e.Point, unix.MNT_DETACH)
	}
	if err := os.RemoveAll(filepath.Join(s.kubelet, "pods")); err != nil {
		t.Fatal(err)
	}
	s.restart(nil)
	s.checkNothingLeft("pod")
}

func TestUnknownPods(t *testing.T) {
	s := newTestbed(t, nil)
	// With a nil list Sidecar returns an error.
	s.sidecarRequest("pod")
	s.cluster.sidecars["pod"] = nil
	volume := s.datasetRequest("pod", "hadoop")
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "API server is unavailable") {
		t.Errorf("publish returned %v", err)
	}
	if all := s.node.store.All(); len(all) > 0 {
		t.Errorf("records: %v", all)
	}
	// A sidecar that does not list the volume does not serve it.
	s.sidecarRequest("pod", "ns-other")
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || len(s.node.allSidecarMounts()) > 0 {
		t.Errorf("publish returned %v", err)
	}
}
