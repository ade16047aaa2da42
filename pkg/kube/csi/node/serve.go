//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Serve serves the CSI services at a unix socket until ctx ends.
func (n *Node) Serve(ctx context.Context, socket string) error {
	server := grpc.NewServer(grpc.UnaryInterceptor(n.intercept))
	csi.RegisterIdentityServer(server, n)
	csi.RegisterNodeServer(server, n)
	return serve(ctx, socket, server)
}

// Register serves the kubelet's plugin registration in dir until ctx ends. It
// announces that the driver's socket is driverPath, a path on the node.
func (n *Node) Register(ctx context.Context, dir, driverPath string) error {
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, registrar{driverPath: driverPath, log: n.log})
	return serve(ctx, filepath.Join(dir, names.Driver+"-reg.sock"), server)
}

func serve(ctx context.Context, socket string, server *grpc.Server) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return fmt.Errorf("listen on %s: %w", socket, err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listen on %s: %w", socket, err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", socket, err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", socket, err), listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { stopServer(server) })
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve at %s: %w", socket, err)
	}
	return nil
}

// stopServer stops a server. Calls in progress have 5 seconds to finish.
func stopServer(server *grpc.Server) {
	timer := time.AfterFunc(5*time.Second, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
}

// intercept logs failed calls, without the content of the request, and turns a
// panic into an error.
func (n *Node) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
	defer func() {
		if r := recover(); r != nil {
			n.log.Error("call panicked", "method", info.FullMethod, "panic", r)
			err = status.Error(codes.Unavailable, "internal error: see the log of the node plugin")
		}
		if err != nil {
			n.log.Warn("call failed", "method", info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:], "error", err)
		}
	}()
	return handle(ctx, req)
}

// registrar implements the kubelet's plugin registration service.
type registrar struct {
	registration.UnimplementedRegistrationServer
	driverPath string
	log        *slog.Logger
}

func (r registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: names.Driver, Endpoint: r.driverPath, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r registrar) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if s.GetPluginRegistered() {
		r.log.Info("driver registered with the kubelet")
	} else {
		r.log.Error("the kubelet rejected the registration of the driver", "error", s.GetError())
	}
	return &registration.RegistrationStatusResponse{}, nil
}
