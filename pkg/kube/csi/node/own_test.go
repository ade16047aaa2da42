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
func (s *stand) sidecar(pod string, handles ...string) *csi.NodePublishVolumeRequest {
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
func (s *stand) dataset(pod, name string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId: "ns-" + name, TargetPath: s.target(pod, name), Readonly: true, VolumeCapability: directory(),
		VolumeContext: podContext(pod, map[string]string{
			names.AttributeRuntimeNamespace: "ns", names.AttributeRuntimeName: name, names.AttributeMountType: "jindo",
			names.AttributeCleanPolicy: "OnDemand",
		}),
		Secrets: map[string]string{"roster.json": `{"name":"` + name + `"}`, "ca.crt": "ca", "tls.crt": "crt", "tls.key": "key", "args.json": `["--uid=7"]`},
	}
}

func folderAt(place *csi.NodePublishVolumeRequest, handle string) string {
	return filepath.Join(place.GetTargetPath(), names.SidecarMounts, handle)
}

// serveOwn starts the server of one volume in a pod's place.
func (s *stand) serveOwn(place *csi.NodePublishVolumeRequest, handle string) (kill func()) {
	s.t.Helper()
	folder := folderAt(place, handle)
	return s.process("server", filepath.Join(folder, names.SessionSocket), filepath.Join(folder, names.StateDir))
}

// nothingOf a pod is on the node.
func (s *stand) nothingOf(pod string) {
	s.t.Helper()
	if found := s.mountsBelow(filepath.Join(s.kubelet, "pods", pod)); len(found) > 0 {
		s.t.Errorf("mounted: %v", found)
	}
	if _, err := os.Lstat(s.node.placeDir(pod)); !os.IsNotExist(err) {
		s.t.Errorf("the place is there: %v", err)
	}
	for _, v := range s.node.store.All() {
		if v.Pod.UID == pod {
			s.t.Errorf("a record is there: %+v", v)
		}
	}
	for _, o := range s.node.allOwn() {
		if o.volume.Pod.UID == pod {
			s.t.Errorf("a holder is there: %s", o.volume.Target)
		}
	}
}

// once publishes without a second try: nothing that a sidecar does comes before.
func (s *stand) once(req *csi.NodePublishVolumeRequest) {
	s.t.Helper()
	if err := s.publish(req); err != nil {
		s.t.Fatal(err)
	}
}

func TestPodsOwnMountInEveryOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		s := newStand(t, func(c *Config) { c.Linger = 10 * time.Millisecond })
		place, first, second := s.sidecar("pod", "ns-first", "ns-second"), s.dataset("pod", "first"), s.dataset("pod", "second")
		all := []*csi.NodePublishVolumeRequest{place, first, second}
		for _, i := range order {
			s.once(all[i])
		}
		for name, want := range map[string]string{"roster.json": `{"name":"first"}`, "args.json": `["--uid=7"]`, "tls.key": "key"} {
			if got, err := os.ReadFile(filepath.Join(folderAt(place, "ns-first"), name)); err != nil || string(got) != want {
				t.Errorf("%v: %s is %q, %v", order, name, got, err)
			}
		}
		s.serveOwn(place, "ns-first")
		s.serveOwn(place, "ns-second")
		for _, volume := range all[1:] {
			s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
		}
		for _, i := range order {
			s.mustUnpublish(all[i])
		}
		s.nothingOf("pod")
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
	s := newStand(t, nil)
	place, volume, worker := s.sidecar("pod", "ns-hadoop"), s.dataset("pod", "hadoop"), s.inline("worker", names.RoleWorker)
	s.once(place)
	s.once(volume)
	s.once(worker)
	folder := folderAt(place, "ns-hadoop")
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
	s.once(volume)
	if got, _ := os.ReadFile(filepath.Join(folder, "tls.key")); string(got) != "renewed" {
		t.Errorf("tls.key is %q", got)
	}
}

func TestPublishingOwnAgainChangesNothing(t *testing.T) {
	s := newStand(t, nil)
	place, volume := s.sidecar("pod", "ns-hadoop"), s.dataset("pod", "hadoop")
	s.once(volume)
	s.once(place)
	s.serveOwn(place, "ns-hadoop")
	s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	before, calls, looked := s.mountsBelow(s.kubelet), s.cluster.calls, s.cluster.looked
	for range 20 {
		s.once(place)
		s.once(volume)
	}
	if after := s.mountsBelow(s.kubelet); !slices.Equal(before, after) {
		t.Errorf("mounts before %v, after %v", before, after)
	}
	if s.cluster.calls != calls || s.cluster.looked != looked {
		t.Error("the API server was asked again")
	}
}

func TestOwnMountSurvives(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(s *stand, kill func(), start func() func())
	}{
		{"the server", func(_ *stand, kill func(), start func() func()) { kill(); start() }},
		{"the plugin", func(s *stand, _ func(), _ func() func()) { s.restart(nil) }},
		{"the server and the plugin", func(s *stand, kill func(), start func() func()) { kill(); s.restart(nil); start() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t, nil)
			place, volume := s.sidecar("pod", "ns-hadoop"), s.dataset("pod", "hadoop")
			s.once(place)
			s.once(volume)
			kill := func() {}
			start := func() func() { kill = s.serveOwn(place, "ns-hadoop"); return kill }
			start()
			r := s.readOn(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			defer s.endReaders(r)
			before := s.mountsBelow(s.kubelet)
			for range 2 {
				s.goOn(r)
				c.act(s, kill, start)
				s.mustPublish(volume)
				s.mustPublish(place)
				s.goOn(r)
			}
			// Whoever holds it now gives it to the next server.
			kill()
			start()
			s.goOn(r)
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
	s := newStand(t, nil)
	place, own := s.sidecar("brings", "ns-hadoop"), s.dataset("brings", "hadoop")
	session, plain := s.inline("fuse", names.RoleFuse), s.dataset("plain", "hadoop")
	s.once(place)
	s.once(own)
	s.serveOwn(place, "ns-hadoop")
	if err := s.publish(plain); status.Code(err) != codes.Unavailable {
		t.Fatalf("the plain pod has no server yet: %v", err)
	}
	if labels := s.cluster.labelled(); len(labels) != 1 {
		t.Errorf("labels %v: the plain pod needs a server", labels)
	}
	s.mustPublish(session)
	killShared := s.server(session)
	s.mustPublish(plain)
	s.read(filepath.Join(plain.GetTargetPath(), "data", "hello"))
	s.read(filepath.Join(own.GetTargetPath(), "data", "hello"))
	// Neither needs the other's server, nor the other's volumes.
	killShared()
	s.read(filepath.Join(own.GetTargetPath(), "data", "sub", "inner"))
	s.server(session)
	s.mustUnpublish(own)
	s.mustUnpublish(place)
	s.nothingOf("brings")
	s.read(filepath.Join(plain.GetTargetPath(), "data", "sub", "inner"))
	s.mustUnpublish(plain)
	if s.node.runtime(s.node.store.All()[0].Runtime).holder.Device() != "" {
		t.Error("the shared mount is there after its last pod")
	}
}

func TestReadersOfADeadSidecar(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		leaving bool
	}{
		{"the pod is being deleted", func(c *Config) { c.Terminating = 100 * time.Millisecond }, true},
		{"nobody comes for long", func(c *Config) { c.Patience = 300 * time.Millisecond }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t, nil)
			place, volume := s.sidecar("pod", "ns-hadoop"), s.dataset("pod", "hadoop")
			s.once(place)
			s.once(volume)
			kill := s.serveOwn(place, "ns-hadoop")
			s.read(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			kill()
			s.restart(c.change) // whose patience would be too short for a start
			hung := s.stuckRead(filepath.Join(volume.GetTargetPath(), "data", "sub", "inner"))
			s.cluster.mu.Lock()
			s.cluster.leaving["pod"] = c.leaving
			s.cluster.mu.Unlock()
			select {
			case err := <-hung:
				if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("the request answers %v", err)
				}
			case <-time.After(patience):
				t.Fatal("the request hangs for good")
			}
			s.eventually("the mount is down", func() bool { return s.node.holderFor(s.node.store.OfPod("pod")[0]).Device() == "" })
			err := s.publish(volume)
			if c.leaving && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "being deleted")) {
				t.Errorf("a pod that leaves is mounted again: %v", err)
			}
			if !c.leaving {
				s.serveOwn(place, "ns-hadoop")
				s.eventually("a new mount is read", func() bool {
					s.mustPublish(volume)
					got, err := os.ReadFile(filepath.Join(volume.GetTargetPath(), "data", "hello"))
					return err == nil && string(got) == content
				})
			}
			s.mustUnpublish(volume)
			s.mustUnpublish(place)
			s.nothingOf("pod")
		})
	}
}

func TestUnpublishDoesNotWaitForADeadSidecar(t *testing.T) {
	s := newStand(t, nil)
	place, volume := s.sidecar("pod", "ns-hadoop"), s.dataset("pod", "hadoop")
	s.once(volume)
	s.once(place)
	hung := s.stuckRead(filepath.Join(volume.GetTargetPath(), "data", "hello"))
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
	case <-time.After(patience):
		t.Fatal("a process hangs for good")
	}
	s.nothingOf("pod")
}

func TestSidecarsOfPodsThatVanishedAreForgotten(t *testing.T) {
	s := newStand(t, nil)
	place, volume := s.sidecar("pod", "ns-hadoop"), s.dataset("pod", "hadoop")
	s.once(place)
	s.once(volume)
	for _, e := range s.mountsBelow(filepath.Join(s.kubelet, "pods")) {
		_ = unix.Unmount(e.Point, unix.MNT_DETACH)
	}
	if err := os.RemoveAll(filepath.Join(s.kubelet, "pods")); err != nil {
		t.Fatal(err)
	}
	s.restart(nil)
	s.nothingOf("pod")
}

func TestPodsThatAreNotKnown(t *testing.T) {
	s := newStand(t, nil)
	// Its list is nil: nobody can say what it has.
	s.sidecar("pod")
	s.cluster.sidecars["pod"] = nil
	volume := s.dataset("pod", "hadoop")
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "away") {
		t.Errorf("answered %v", err)
	}
	if all := s.node.store.All(); len(all) > 0 {
		t.Errorf("noted: %v", all)
	}
	// A sidecar that does not list the volume does not serve it.
	s.sidecar("pod", "ns-other")
	if err := s.publish(volume); status.Code(err) != codes.Unavailable || len(s.node.allOwn()) > 0 {
		t.Errorf("answered %v", err)
	}
}
