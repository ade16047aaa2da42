//go:build linux

package node

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"google.golang.org/grpc"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// volumes is a controller service that creates the volumes that the suite
// publishes.
type volumes struct {
	csi.UnimplementedControllerServer
}

func (volumes) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: req.GetName(), VolumeContext: map[string]string{
		names.AttributeRuntimeNamespace: "ns", names.AttributeRuntimeName: "hadoop", names.AttributeMountType: "jindo",
	}}}, nil
}

func (volumes) DeleteVolume(context.Context, *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	return &csi.DeleteVolumeResponse{}, nil
}

// TestSanity runs the CSI sanity suite against the real service with real mounts
// and a FUSE server in a process of its own.
func TestSanity(t *testing.T) {
	s := newTestbed(t, func(c *Config) { c.PublishTimeout = testTimeout })
	session := s.inlineRequest("fuse", names.RoleFuse)
	s.mustPublish(session)
	s.startServer(session)

	dir := filepath.Dir(s.kubelet)
	endpoint, controller := filepath.Join(dir, "csi.sock"), filepath.Join(dir, "controller.sock")
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.node.Serve(ctx, endpoint) }()
	listener, err := net.Listen("unix", controller)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	csi.RegisterControllerServer(server, volumes{})
	csi.RegisterIdentityServer(server, s.node)
	go func() { _ = server.Serve(listener) }()
	defer func() {
		cancel()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	s.eventually("the driver's socket exists", func() bool { _, err := os.Stat(endpoint); return err == nil })

	config := sanity.NewTestConfig()
	config.Address, config.ControllerAddress = "unix://"+endpoint, "unix://"+controller
	config.TargetPath = filepath.Join(s.kubelet, "pods", "sanity")
	config.StagingPath = filepath.Join(dir, "staging")
	suite := sanity.GinkgoTest(&config)
	defer suite.Finalize()
	gomega.RegisterFailHandler(ginkgo.Fail)
	suiteConfig, reporterConfig := ginkgo.GinkgoConfiguration()
	// The driver has no controller service.
	suiteConfig.FocusStrings = []string{"Node Service", "Identity Service"}
	reporterConfig.Succinct, reporterConfig.NoColor = true, true
	if !ginkgo.RunSpecs(t, "CSI", suiteConfig, reporterConfig) {
		t.Error("the driver does not conform to the CSI specification")
	}
}
