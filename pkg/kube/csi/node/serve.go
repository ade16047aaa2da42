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

// Serve answers the kubelet at a unix socket until the context ends.
func (n *Node) Serve(ctx context.Context, socket string) error {
	server := grpc.NewServer(grpc.UnaryInterceptor(n.intercept))
	csi.RegisterIdentityServer(server, n)
	csi.RegisterNodeServer(server, n)
	return serve(ctx, socket, server)
}

// Register tells the kubelet, which looks into dir, that the driver answers at
// the socket driverPath, a path of the node's, until the context ends.
func (n *Node) Register(ctx context.Context, dir, driverPath string) error {
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, registrar{driverPath: driverPath, log: n.log})
	return serve(ctx, filepath.Join(dir, names.Driver+"-reg.sock"), server)
}

func serve(ctx context.Context, socket string, server *grpc.Server) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return fmt.Errorf("listening on %s: %w", socket, err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listening on %s: %w", socket, err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", socket, err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(fmt.Errorf("listening on %s: %w", socket, err), listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { stopServer(server) })
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving at %s: %w", socket, err)
	}
	return nil
}

// stopServer lets calls that are being worked on end, for a while.
func stopServer(server *grpc.Server) {
	timer := time.AfterFunc(5*time.Second, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
}

// intercept logs what fails, never with what the request carries, and keeps a
// panic to its call.
func (n *Node) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if what := recover(); what != nil {
			n.log.Error("a call panicked", "method", info.FullMethod, "panic", what)
			err = status.Error(codes.Unavailable, "the plugin failed; see its log")
		}
		if err != nil {
			n.log.Warn("a call failed", "method", info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:], "error", err)
		}
	}()
	return handle(ctx, req)
}

// registrar answers the kubelet's plugin watcher.
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
		r.log.Info("the kubelet knows the driver")
	} else {
		r.log.Error("the kubelet refuses the driver", "error", s.GetError())
	}
	return &registration.RegistrationStatusResponse{}, nil
}
