package server

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/netlimit"
)

// ServeReason serves on a listener until ctx is done, and closes it. It stands in
// for a master that cannot open its disk: every call fails with the reason and
// code UNAVAILABLE, so that clients try other masters and a person who requests
// the status of this one sees the cause.
func ServeReason(ctx context.Context, listener net.Listener, config Config, reason func() error) error {
	listener = netlimit.Listen(listener, netlimit.Config{
		Port: "grpc", Limits: config.Connections, Handshake: config.Identity.Handshake(),
		Addresses: config.Addresses, Logger: config.Logger,
	})
	refuse := func(any, grpc.ServerStream) error {
		return status.Error(codes.Unavailable, reason().Error())
	}
	server := grpc.NewServer(append(config.Identity.ServerOptions(Rights()), grpc.UnknownServiceHandler(refuse))...)
	unhook := context.AfterFunc(ctx, server.Stop)
	defer unhook()
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) && ctx.Err() == nil {
		return fmt.Errorf("serve the reason of a master: %w", err)
	}
	return nil
}
