//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/csi/mounts"
	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// testTimeout bounds waits; no test asserts it.
const testTimeout = 30 * time.Second

// testbed is a node with a descriptor store and a plugin, with real mounts below a
// temporary directory.
type testbed struct {
	t             *testing.T
	kubelet       string
	fdStoreSocket string
	cluster       *fakeCluster
	node          *Node
	stopNode      func()
}

func newTestbed(t *testing.T, change func(*Config)) *testbed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &testbed{t: t, kubelet: filepath.Join(dir, "kubelet"), fdStoreSocket: filepath.Join(dir, "keep", "s"), cluster: newFakeCluster()}
	t.Cleanup(func() {
		table, err := mounts.OpenTable()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = table.Close() }()
		left, _ := table.Below(s.kubelet)
		for _, e := range left {
			_ = unix.Unmount(e.Point, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW)
			_ = unix.Unmount(e.Point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	socket := s.fdStoreSocket
	go func() { done <- fdstore.NewServer(testLogger()).Serve(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.start(change)
	t.Cleanup(func() { s.stopNode() })
	return s
}

// start starts a plugin.
func (s *testbed) start(change func(*Config)) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client := fdstore.NewClient(s.fdStoreSocket, testLogger())
	config := Config{
		Name: "node-a", Version: "test", KubeletDir: s.kubelet, Cluster: s.cluster, FDStore: client,
		PublishTimeout: 20 * time.Millisecond, IdleTimeout: time.Hour, Logger: testLogger(),
	}
	if change != nil {
		change(&config)
	}
	node, err := New(ctx, config)
	if err != nil {
		s.t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { client.Run(ctx) })
	group.Go(func() { node.Run(ctx) })
	s.node = node
	s.stopNode = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		if err := node.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// restart replaces the plugin without unmounting anything, as if it had been
// killed.
func (s *testbed) restart(change func(*Config)) {
	s.t.Helper()
	s.stopNode()
	s.start(change)
}

func (s *testbed) target(pod, volume string) string {
	parent := filepath.Join(s.kubelet, "pods", pod, "volumes", "kubernetes.io~csi", volume)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		s.t.Fatal(err)
	}
	return filepath.Join(parent, "mount")
}

func podContext(pod string, more map[string]string) map[string]string {
	all := map[string]string{contextPodName: pod, contextPodNamespace: "ns", contextPodUID: pod}
	maps.Copy(all, more)
	return all
}

// filesRequest returns a publish request for a dataset volume.
func (s *testbed) filesRequest(pod string, more map[string]string) *csi.NodePublishVolumeRequest {
	attributes := map[string]string{
		names.AttributeRuntimeNamespace: "ns", names.AttributeRuntimeName: "hadoop", names.AttributeMountType: "jindo",
	}
	maps.Copy(attributes, more)
	return &csi.NodePublishVolumeRequest{
		VolumeId: "ns-hbase", TargetPath: s.target(pod, "data"), Readonly: true, VolumeCapability: directory(),
		VolumeContext: podContext(pod, attributes),
	}
}

// inlineRequest returns a publish request for an inline volume.
func (s *testbed) inlineRequest(pod, role string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId: "csi-" + pod, TargetPath: s.target(pod, "session"), VolumeCapability: directory(),
		VolumeContext: podContext(pod, map[string]string{
			contextEphemeral: "true", names.AttributeRole: role, names.AttributeRuntimeName: "hadoop",
		}),
		Secrets: map[string]string{"roster.json": "{}", "ca.crt": "ca", "tls.crt": "crt", "tls.key": "key"},
	}
}

func directory() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY},
	}
}

func (s *testbed) publish(req *csi.NodePublishVolumeRequest) error {
	_, err := s.node.NodePublishVolume(context.Background(), req)
	return err
}

// mustPublish publishes as the kubelet does: it retries while the driver returns
// Unavailable.
func (s *testbed) mustPublish(req *csi.NodePublishVolumeRequest) {
	s.t.Helper()
	s.eventually("published "+req.GetTargetPath(), func() bool {
		err := s.publish(req)
		if err != nil && status.Code(err) != codes.Unavailable {
			s.t.Fatal(err)
		}
		return err == nil
	})
}

func (s *testbed) mustUnpublish(req *csi.NodePublishVolumeRequest) {
	s.t.Helper()
	_, err := s.node.NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{
		VolumeId: req.GetVolumeId(), TargetPath: req.GetTargetPath(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *testbed) eventually(description string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(testTimeout); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("timeout waiting for: %s", description)
		}
	}
}

// process starts the test binary as another program.
func (s *testbed) process(kind string, args ...string) (kill func()) {
	s.t.Helper()
	command := exec.Command("/proc/self/exe", args...)
	command.Env = append(os.Environ(), processEnv+"="+kind)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	s.t.Cleanup(kill)
	return kill
}

// server starts a FUSE server in a pod's inline volume.
func (s *testbed) startServer(session *csi.NodePublishVolumeRequest) (kill func()) {
	s.t.Helper()
	state := filepath.Join(filepath.Dir(s.kubelet), "state-"+session.GetVolumeId())
	if err := os.MkdirAll(state, 0o700); err != nil {
		s.t.Fatal(err)
	}
	return s.process("server", filepath.Join(session.GetTargetPath(), names.SessionSocket), state)
}

func (s *testbed) read(path string) {
	s.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		s.t.Fatalf("read %s: %q, %v", path, got, err)
	}
}

// mountsBelow returns the mounts below a path.
func (s *testbed) mountsBelow(path string) []mounts.Entry {
	s.t.Helper()
	table, err := mounts.OpenTable()
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = table.Close() }()
	found, err := table.Below(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// fakeCluster is a Cluster that records labels and events.
type fakeCluster struct {
	mu          sync.Mutex
	labels      map[string]bool
	labelCalls  int
	terminating map[string]bool
	events      []string
	err         error
	// sidecars are the handles that pods' sidecars serve. For a nil list Sidecar
	// returns an error.
	sidecars     map[string][]string
	sidecarCalls int
	// notOwned are the pods that are not a runtime's own; ownedCalls are the checks.
	notOwned   map[string]bool
	ownedCalls int
}

func newFakeCluster() *fakeCluster {
	return &fakeCluster{labels: map[string]bool{}, terminating: map[string]bool{}, sidecars: map[string][]string{}, notOwned: map[string]bool{}}
}

func (c *fakeCluster) CheckOwned(_ context.Context, pod records.Pod, runtime records.Runtime, role string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownedCalls++
	if c.notOwned[pod.Name] {
		return fmt.Errorf("pod %s is not one of the %ss of %s", pod.Name, role, runtime)
	}
	return nil
}

func (c *fakeCluster) Sidecar(_ context.Context, pod records.Pod) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sidecarCalls++
	if handles, known := c.sidecars[pod.Name]; known && handles == nil {
		return nil, errors.New("API server is unavailable")
	}
	return c.sidecars[pod.Name], nil
}

func (c *fakeCluster) LabelNode(_ context.Context, key string, present bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.labelCalls++
	if c.err != nil {
		return c.err
	}
	if present {
		c.labels[key] = true
	} else {
		delete(c.labels, key)
	}
	return nil
}

func (c *fakeCluster) Terminating(pod records.Pod) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.terminating[pod.Name]
}

func (c *fakeCluster) RecordEvent(pod records.Pod, reason, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, pod.Name+" "+reason)
}

func (c *fakeCluster) labelled() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.labels))
}
