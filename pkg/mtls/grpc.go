package mtls

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/rpc/message"
)

// Rights maps a full gRPC method name to the roles that may call it. A method
// that is not in the map may not be called.
type Rights map[string][]Role

// Limits of a gRPC server. Clients ping every clientPing, so that pingEvery and
// minPing never end a connection of one that runs.
const (
	// connectTimeout bounds the handshakes of TLS and HTTP/2.
	connectTimeout = 5 * time.Second
	// idleTimeout ends a connection without a call. A client that has another
	// call connects again.
	idleTimeout = 5 * time.Minute
	// A peer that does not respond to a ping within pingTimeout is unreachable.
	pingEvery   = time.Minute
	pingTimeout = 20 * time.Second
	// minPing is the shortest interval of pings that is tolerated.
	minPing    = 5 * time.Second
	clientPing = 10 * time.Second
	// maxStreams bounds the calls in progress of one connection. Clients queue
	// further ones.
	maxStreams = 128
	// maxHeaders bounds the metadata of a call, in bytes.
	maxHeaders = 16 << 10
	readBuffer = 16 << 10
	// Flow control, in bytes: how much a peer may send before the receiver has
	// processed it, of one call and of all calls of a connection. Fixed windows
	// also turn off the library's estimates of the bandwidth, which cost a ping
	// and its response, each in a packet of its own, for almost every message in
	// both directions. Requests are small, and responses reach tens of MiB.
	serverWindow = 64 << 10
	serverConn   = 256 << 10
	clientWindow = 1 << 20
	clientConn   = 4 << 20
)

// ServerOptions returns options that make a gRPC server accept only mutually
// authenticated connections, reject calls that rights does not grant, and end
// connections that are idle or whose peer is unreachable.
func (i *Identity) ServerOptions(rights Rights) []grpc.ServerOption {
	return append(rights.Interceptors(),
		grpc.Creds(serverCredentials{credentials.NewTLS(i.ServerConfig())}),
		grpc.ConnectionTimeout(connectTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: pingEvery, Timeout: pingTimeout}),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ReadBufferSize(readBuffer),
		grpc.InitialWindowSize(serverWindow),
		grpc.InitialConnWindowSize(serverConn),
	)
}

// Interceptors returns options that reject calls that r does not grant, and bound
// the calls in progress of each caller, for a server whose connections are
// authenticated elsewhere.
func (r Rights) Interceptors() []grpc.ServerOption {
	a := &admission{rights: r, calls: map[callers]int{}}
	return []grpc.ServerOption{grpc.UnaryInterceptor(a.unary), grpc.StreamInterceptor(a.stream), grpc.InTapHandle(a.begin)}
}

// check returns the peer of a call, or an error if it may not make it.
func (r Rights) check(ctx context.Context, method string) (Peer, error) {
	peer, err := PeerOfContext(ctx)
	if err != nil {
		return Peer{}, status.Error(codes.Unauthenticated, err.Error())
	}
	if !peer.Is(r[method]...) {
		return Peer{}, status.Error(codes.PermissionDenied, fmt.Sprintf("%s may not call %s: allowed roles are %v", peer, method, r[method]))
	}
	return peer, nil
}

// Dial returns a connection to the component with the given role and, unless it
// is empty, name. It connects lazily and resolves the address at every attempt.
// A unary request that cannot be encoded fails with a [*message.InvalidError]
// without being sent.
// Callers must set a deadline on each call.
func (i *Identity) Dial(address string, role Role, name string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(i.ClientConfig(role, name))),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			// On an overloaded machine a handshake takes seconds; calls have
			// their own deadlines.
			MinConnectTimeout: 5 * time.Second,
		}),
		message.CheckRequests(),
		grpc.WithInitialWindowSize(clientWindow),
		grpc.WithInitialConnWindowSize(clientConn),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: clientPing, Timeout: 3 * time.Second, PermitWithoutStream: true}),
	}, options...)
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return nil, fmt.Errorf("dial %s at %s: %w", Peer{Role: role, Name: name}, address, err)
	}
	return conn, nil
}
