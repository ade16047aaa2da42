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

// sidecar is a request for the place of a pod's own FUSE server, and makes the
// pod one that has such a server.
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

// dataset is a request for a dataset's files, as its PersistentVolume has it.
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

func volumeDirAt(place *csi.NodePublishVolumeRequest, handle string) string {
	return filepath.Join(place.GetTargetPath(), names.SidecarMounts, handle)
}

// serveOwn starts the server of one volume in a pod's place.
func (s *testbed) startSidecarServer(place *csi.NodePublishVolumeRequest, handle string) (kill func()) {
	s.t.Helper()
	folder := volumeDirAt(place, handle)
	return s.process("server", filepath.Join(folder, names.SessionSocket), filepath.Join(folder, names.StateDir))
}

// nothingOf a pod is on the node.
func (s *testbed) checkNothingLeft(pod string) {
	s.t.Helper()
	if found := s.mountsBelow(filepath.Join(s.kubelet, "pods", pod)); len(found) > 0 {
		s.t.Errorf("mounted: %v", found)
	}
	if _, err := os.Lstat(s.node.sidecarDir(pod)); !os.IsNotExist(err) {
		s.t.Errorf("the place is there: %v", err)
	}
	for _, v := range s.node.store.All() {
		if v.Pod.UID == pod {
			s.t.Errorf("a record is there: %+v", v)
		}
	}
	for _, o := range s.node.allSidecarMounts() {
		if o.volume.Pod.UID == pod {
			s.t.Errorf("a holder is there: %s", o.volume.Target)
		}
	}
}

// once publishes without a second try: nothing that a sidecar does comes before.
func (s *testbed) publishOnce(req *csi.NodePublishVolumeRequest) {
	s.t.Helper()
	if err := s.publish(req); err != nil {
		s.t.Fatal(err)
	}
}

func TestPodsOwnMountInEveryOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		s := newTestbed(t, func(c *Config) { c.IdleTimeout = 10 * time.Millisecond })
		place, first, second := s.sidecarRequest("pod", "ns-first", "ns-second"), s.datasetRequest("pod", "first"), s.datasetRequest("pod", "second")
		all := []*csi.NodePublishVolumeRequest{place, first, second}
		for _, i := range order {
			s.publishOnce(all[i])
		}
		for name, want := range map[string]string{"roster.json": `{"name":"first"}`, "args.json": `["--uid=7"]`, "tls.key": "key"} {
			if got, err := os.ReadFile(filepath.Join(volumeDirAt(place, "ns-first"), name)); err != nil || string(got) != want {
				t.Errorf("%v: %s is %q, %v", order, name, got, err)
			}
		}
		s.startSidecarServer(place, "ns-first")
		s.startSidecarServer(place, "ns-second")
		for _, volume := range all[1:] {
			s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
		}
		for _, i := range order {
			s.mustUnpublish(all[i])
		}
		s.checkNothingLeft("pod")
		if labels := s.cluster.labelled(); len(labels) > 0 {
			t.Errorf("%v: labels %v: no FUSE server of the DaemonSet is needed", order, labels)
		}
		s.eventually("nothing is left", func() bool {
			left, err := filepath.Glob(filepath.Join(s.node.dir(), "*_*"))
			return err == nil && len(left) == 0 && len(s.mountsBelow(s.kubelet)) == 0
		})
		s.stopNode()
	}
}

func TestWhatASidecarMayWrite(t *testing.T) {
	s := newTestbed(t, nil)
	place, volume, worker := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop"), s.inlineRequest("worker", names.RoleWorker)
	s.publishOnce(place)
	s.publishOnce(volume)
	s.publishOnce(worker)
	folder := volumeDirAt(place, "ns-hadoop")
	for _, path := range []string{place.GetTargetPath(), filepath.Join(place.GetTargetPath(), names.SidecarMounts), folder, filepath.Join(folder, names.SocketsDir)} {
		if err := os.WriteFile(filepath.Join(path, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("writing in %s: %v", path, err)
		}
	}
	for _, path := range []string{filepath.Join(place.GetTargetPath(), names.StateDir), filepath.Join(folder, names.StateDir)} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o777 || info.Mode()&os.ModeSticky == 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		if err := os.WriteFile(filepath.Join(path, "x"), nil, 0o600); err != nil {
			t.Errorf("writing in %s: %v", path, err)
		}
	}
	if err := os.WriteFile(filepath.Join(place.GetTargetPath(), names.StateDir, "large"), make([]byte, 2*scratchSize), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a server fills the node's memory: %v", err)
	}
	// What a worker puts there is seen, and a renewed certificate too.
	if err := os.WriteFile(filepath.Join(worker.GetTargetPath(), "w0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, names.SocketsDir, "w0")); err != nil {
		t.Error(err)
	}
	volume.Secrets["tls.key"] = "renewed"
	s.publishOnce(volume)
	if got, _ := os.ReadFile(filepath.Join(folder, "tls.key")); string(got) != "renewed" {
		t.Errorf("tls.key is %q", got)
	}
}

func TestPublishingOwnAgainChangesNothing(t *testing.T) {
	s := newTestbed(t, nil)
	place, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
	s.publishOnce(volume)
	s.publishOnce(place)
	s.startSidecarServer(place, "ns-hadoop")
	s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	before, calls, looked := s.mountsBelow(s.kubelet), s.cluster.labelCalls, s.cluster.sidecarCalls
	for range 20 {
		s.publishOnce(place)
		s.publishOnce(volume)
	}
	if after := s.mountsBelow(s.kubelet); !slices.Equal(before, after) {
		t.Errorf("mounts before %v, after %v", before, after)
	}
	if s.cluster.labelCalls != calls || s.cluster.sidecarCalls != looked {
		t.Error("the API server was asked again")
	}
}

func TestOwnMountSurvives(t *testing.T) {
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
			place, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
			s.publishOnce(place)
			s.publishOnce(volume)
			kill := func() {}
			start := func() func() { kill = s.startSidecarServer(place, "ns-hadoop"); return kill }
			start()
			r := s.startReading(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			defer s.stopReading(r)
			before := s.mountsBelow(s.kubelet)
			for range 2 {
				s.waitForReads(r)
				c.act(s, kill, start)
				s.mustPublish(volume)
				s.mustPublish(place)
				s.waitForReads(r)
			}
			// Whoever holds it now gives it to the next server.
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

func TestPlainPodBesideASidecar(t *testing.T) {
	s := newTestbed(t, nil)
	place, own := s.sidecarRequest("brings", "ns-hadoop"), s.datasetRequest("brings", "hadoop")
	session, plain := s.inlineRequest("fuse", names.RoleFuse), s.datasetRequest("plain", "hadoop")
	s.publishOnce(place)
	s.publishOnce(own)
	s.startSidecarServer(place, "ns-hadoop")
	if err := s.publish(plain); status.Code(err) != codes.Unavailable {
		t.Fatalf("the plain pod has no server yet: %v", err)
	}
	if labels := s.cluster.labelled(); len(labels) != 1 {
		t.Errorf("labels %v: the plain pod needs a server", labels)
	}
	s.mustPublish(session)
	killShared := s.startServer(session)
	s.mustPublish(plain)
	s.read(filepath.Join(plain.GetTargetPath(), "data", "hello"))
	s.read(filepath.Join(own.GetTargetPath(), "data", "hello"))
	// Neither needs the other's server, nor the other's volumes.
	killShared()
	s.read(filepath.Join(own.GetTargetPath(), "data", "sub", "inner"))
	s.startServer(session)
	s.mustUnpublish(own)
	s.mustUnpublish(place)
	s.checkNothingLeft("brings")
	s.read(filepath.Join(plain.GetTargetPath(), "data", "sub", "inner"))
	s.mustUnpublish(plain)
	if s.node.runtime(s.node.store.All()[0].Runtime).manager.Device() != "" {
		t.Error("the shared mount is there after its last pod")
	}
}

func TestReadersOfADeadSidecar(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		leaving bool
	}{
		{"the pod is being deleted", func(c *Config) { c.TerminatingTimeout = 100 * time.Millisecond }, true},
		{"nobody comes for long", func(c *Config) { c.ServeTimeout = 300 * time.Millisecond }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestbed(t, nil)
			place, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
			s.publishOnce(place)
			s.publishOnce(volume)
			kill := s.startSidecarServer(place, "ns-hadoop")
			s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			kill()
			s.restart(c.change) // whose patience would be too short for a start
			hung := s.readInBackground(filepath.Join(volume.GetTargetPath(), "data", "sub", "inner"))
			s.cluster.mu.Lock()
			s.cluster.terminating["pod"] = c.leaving
			s.cluster.mu.Unlock()
			select {
			case err := <-hung:
				if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("the request answers %v", err)
				}
			case <-time.After(testTimeout):
				t.Fatal("the request hangs for good")
			}
			s.eventually("the mount is down", func() bool { return s.node.managerOfVolume(s.node.store.OfPod("pod")[0]).Device() == "" })
			err := s.publish(volume)
			if c.leaving && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "being deleted")) {
				t.Errorf("a pod that leaves is mounted again: %v", err)
			}
			if !c.leaving {
				s.startSidecarServer(place, "ns-hadoop")
				s.eventually("a new mount is read", func() bool {
					s.mustPublish(volume)
					got, err := os.ReadFile(filepath.Join(volume.GetTargetPath(), "data", "hello"))
					return err == nil && string(got) == content
				})
			}
			s.mustUnpublish(volume)
			s.mustUnpublish(place)
			s.checkNothingLeft("pod")
		})
	}
}

func TestUnpublishDoesNotWaitForADeadSidecar(t *testing.T) {
	s := newTestbed(t, nil)
	place, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
	s.publishOnce(volume)
	s.publishOnce(place)
	hung := s.readInBackground(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	_, err := s.node.NodeGetVolumeStats(context.Background(), &csi.NodeGetVolumeStatsRequest{VolumeId: volume.GetVolumeId(), VolumePath: volume.GetTargetPath()})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("figures of a mount that nobody serves: %v", err)
	}
	s.mustUnpublish(place)
	s.mustUnpublish(volume)
	s.mustUnpublish(volume)
	select {
	case err := <-hung:
		if err == nil {
			t.Error("the request was answered")
		}
	case <-time.After(testTimeout):
		t.Fatal("a process hangs for good")
	}
	s.checkNothingLeft("pod")
}

func TestSidecarsOfPodsThatVanishedAreForgotten(t *testing.T) {
	s := newTestbed(t, nil)
	place, volume := s.sidecarRequest("pod", "ns-hadoop"), s.datasetRequest("pod", "hadoop")
	s.publishOnce(place)
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

func TestPodsThatAreNotKnown(t *testing.T) {
	s := newTestbed(t, nil)
	// Its list is nil: nobody can say what it has.
	s.sidecarRequest("pod")
	s.cluster.sidecars["pod"] = nil
	volume := s.datasetRequest("pod", "hadoop")
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "away") {
		t.Errorf("answered %v", err)
	}
	if all := s.node.store.All(); len(all) > 0 {
		t.Errorf("noted: %v", all)
	}
	// A sidecar that does not list the volume does not serve it.
	s.sidecarRequest("pod", "ns-other")
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || len(s.node.allSidecarMounts()) > 0 {
		t.Errorf("answered %v", err)
	}
}
