//go:build linux

package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

func TestHostileRequests(t *testing.T) {
	s := newTestbed(t, nil)
	set := func(key, value string) func(*csi.NodePublishVolumeRequest) {
		return func(r *csi.NodePublishVolumeRequest) { r.VolumeContext[key] = value }
	}
	target := func(path string) func(*csi.NodePublishVolumeRequest) {
		return func(r *csi.NodePublishVolumeRequest) { r.TargetPath = path }
	}
	for _, c := range []struct {
		name, role string
		change     func(*csi.NodePublishVolumeRequest)
		want       string
	}{
		{"no volume id", "", func(r *csi.NodePublishVolumeRequest) { r.VolumeId = "" }, "volume id"},
		{"long volume id", "", func(r *csi.NodePublishVolumeRequest) { r.VolumeId = strings.Repeat("a", 1<<16) }, "bytes"},
		{"no target", "", target(""), "has no target path"},
		{"relative target", "", target("pods/x"), "clean absolute"},
		{"target with ..", "", target(s.kubelet + "/pods/../../../etc"), "clean absolute"},
		{"target outside", "", target("/etc/jindo"), "--kubelet-dir"},
		{"target beside", "", target(s.kubelet + "-other/x"), "--kubelet-dir"},
		{"target is the kubelet's directory", "", target(s.kubelet), "--kubelet-dir"},
		{"target is the plugin's", "", target(s.kubelet + "/plugins/" + names.Driver + "/volumes"), "plugin's own"},
		{"target with a zero byte", "", target(s.kubelet + "/pods/\x00x"), "clean absolute"},
		{"long target", "", target(s.kubelet + "/" + strings.Repeat("a/", 4000) + "a"), "clean absolute"},
		{"no capability", "", func(r *csi.NodePublishVolumeRequest) { r.VolumeCapability = nil }, "capability"},
		{"block", "", func(r *csi.NodePublishVolumeRequest) {
			r.VolumeCapability = &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}}
		}, "Filesystem"},
		{"no attributes", "", func(r *csi.NodePublishVolumeRequest) { r.VolumeContext = nil }, "name the runtime"},
		{"no runtime", "", set(names.AttributeRuntimeName, ""), "name the runtime"},
		{"no namespace", "", set(names.AttributeRuntimeNamespace, ""), "name the runtime"},
		{"runtime with a path", "", set(names.AttributeRuntimeName, "../../etc"), "invalid runtime name"},
		{"runtime with an underscore", "", set(names.AttributeRuntimeName, "a_b"), "invalid runtime name"},
		{"namespace with a slash", "", set(names.AttributeRuntimeNamespace, "a/b"), "invalid runtime name"},
		{"namespace of dots", "", set(names.AttributeRuntimeNamespace, ".."), "invalid runtime name"},
		{"other mount type", "", set(names.AttributeMountType, "alluxio"), "supports jindo"},
		{"sub path upwards", "", set(names.AttributeSubPath, "../x"), `".."`},
		{"sub path upwards inside", "", set(names.AttributeSubPath, "a/../../x"), `".."`},
		{"sub path with a zero byte", "", set(names.AttributeSubPath, "a\x00b"), `".."`},
		{"pod with a path", "", set(contextPodUID, "../.."), "invalid pod name"},
		{"inline without a pod", names.RoleFuse, func(r *csi.NodePublishVolumeRequest) { delete(r.VolumeContext, contextPodUID) }, "podInfoOnMount"},
		{"inline without a role", names.RoleFuse, set(names.AttributeRole, ""), "of an inline volume"},
		{"inline of another role", names.RoleFuse, set(names.AttributeRole, "master"), "of an inline volume"},
		{"inline of no runtime", names.RoleFuse, set(names.AttributeRuntimeName, ""), "name the runtime"},
		{"inline without a secret", names.RoleFuse, func(r *csi.NodePublishVolumeRequest) { r.Secrets = nil }, "nodePublishSecretRef"},
		{"inline with half a secret", names.RoleFuse, func(r *csi.NodePublishVolumeRequest) { delete(r.Secrets, "tls.key") }, "tls.key"},
		{"inline with a large secret", names.RoleFuse, func(r *csi.NodePublishVolumeRequest) { r.Secrets["ca.crt"] = strings.Repeat("x", 2<<20) }, "ca.crt"},
		{"sidecar of a path", names.RoleSidecar, set(names.AttributeVolumes, "ns-hbase,../../etc"), "invalid volume handle"},
		{"sidecar of nothing", names.RoleSidecar, set(names.AttributeVolumes, ""), "invalid volume handle"},
		{"sidecar of too much", names.RoleSidecar, set(names.AttributeVolumes, strings.Repeat("a,", 64<<10)), "bytes"},
		{"sidecar without a pod", names.RoleSidecar, func(r *csi.NodePublishVolumeRequest) { delete(r.VolumeContext, contextPodUID) }, "podInfoOnMount"},
		{"served without a secret", "served", func(r *csi.NodePublishVolumeRequest) { r.Secrets = nil }, "nodePublishSecretRef"},
		{"served with large arguments", "served", func(r *csi.NodePublishVolumeRequest) { r.Secrets["args.json"] = strings.Repeat("x", 2<<20) }, "args.json"},
		{"served with a sub path", "served", set(names.AttributeSubPath, "data"), "subPath: data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := s.filesRequest("hostile", nil)
			switch c.role {
			case "":
			case names.RoleSidecar:
				req = s.sidecarRequest("hostile", "ns-hbase")
				delete(s.cluster.sidecars, "hostile")
			case "served":
				s.sidecarRequest("served", "ns-hadoop")
				req = s.datasetRequest("served", "hadoop")
			default:
				req = s.inlineRequest("hostile", c.role)
			}
			c.change(req)
			err := s.publish(req)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.want) {
				t.Errorf("publish returned %v, want InvalidArgument with %q", err, c.want)
			}
		})
	}
	if all := s.node.store.All(); len(all) > 0 {
		t.Errorf("records: %v", all)
	}
	if found := s.mountsBelow(s.kubelet); len(found) > 0 {
		t.Errorf("mounts: %v", found)
	}
}

// TestInlineVolumesOfOtherPods: a pod that is not the runtime's own gets neither the
// directory of the workers' sockets nor a FUSE server's volume, and nothing is left of
// the attempt. A volume that is published is not checked again: the kubelet repeats the
// call every second.
func TestInlineVolumesOfOtherPods(t *testing.T) {
	s := newTestbed(t, nil)
	for _, role := range []string{names.RoleWorker, names.RoleFuse} {
		s.cluster.notOwned["attacker"] = true
		request := s.inlineRequest("attacker", role)
		for range 2 {
			if _, err := s.node.NodePublishVolume(t.Context(), request); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not one of the "+role) {
				t.Errorf("%s: %v", role, err)
			}
		}
		if _, err := os.Lstat(request.GetTargetPath()); !os.IsNotExist(err) {
			t.Errorf("%s: the target exists: %v", role, err)
		}
		if _, known := s.node.store.Get(request.GetTargetPath()); known {
			t.Errorf("%s: the volume is recorded", role)
		}
		own := s.inlineRequest("own-"+role, role)
		s.mustPublish(own)
		calls := s.cluster.ownedCalls
		s.cluster.notOwned["own-"+role] = true // the API server lost the workload
		s.mustPublish(own)
		if s.cluster.ownedCalls != calls {
			t.Errorf("%s: checked %d times again", role, s.cluster.ownedCalls-calls)
		}
	}
}

func TestUnpublishRemovesOnlyMountsOfTheDriver(t *testing.T) {
	s := newTestbed(t, nil)
	full := s.target("pod", "full")
	if err := os.MkdirAll(filepath.Join(full, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	unpublish := func(id, target string) error {
		_, err := s.node.NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: target})
		return err
	}
	if err := unpublish("v", full); status.Code(err) != codes.Internal {
		t.Errorf("a directory with files: %v", err)
	}
	for _, target := range []string{"", "x", "/etc", s.kubelet + "/pods/../x", s.kubelet} {
		if err := unpublish("v", target); status.Code(err) != codes.InvalidArgument {
			t.Errorf("target %q: %v", target, err)
		}
	}
	worker := s.inlineRequest("worker", names.RoleWorker)
	s.mustPublish(worker)
	if err := unpublish("another", worker.GetTargetPath()); status.Code(err) != codes.NotFound {
		t.Errorf("another volume: %v", err)
	}
	// A mount that the plugin did not make.
	foreign := s.target("pod", "foreign")
	if err := os.MkdirAll(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	mountForeign(t, foreign)
	if err := unpublish("v", foreign); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "not mounted by this driver") {
		t.Errorf("foreign mount: %v", err)
	}
}
