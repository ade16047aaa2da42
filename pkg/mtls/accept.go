package mtls

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// Handshake returns a function that runs the server's side of the TLS handshake
// of a connection, for peers of the given roles, and of every role when none is
// given. It returns the TLS connection and role/name of the peer, which has
// proved that it has the key of its certificate: the callbacks of tls.Config run
// before that proof.
func (i *Identity) Handshake(accept ...Role) func(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
	config := i.ServerConfig(accept...)
	return func(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
		conn := tls.Server(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, "", fmt.Errorf("handshake: %w", err)
		}
		peer, err := PeerOfState(conn.ConnectionState())
		if err != nil {
			return nil, "", fmt.Errorf("handshake: %w", err)
		}
		return conn, peer.String(), nil
	}
}

// serverCredentials are the credentials of a gRPC server whose listener may have
// run the handshake, as Handshake does. Otherwise they run it.
type serverCredentials struct {
	credentials.TransportCredentials
}

var _ credentials.TransportCredentials = serverCredentials{}

// ServerHandshake implements credentials.TransportCredentials.
func (c serverCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, ok := raw.(*tls.Conn)
	if !ok {
		return c.TransportCredentials.ServerHandshake(raw)
	}
	state := conn.ConnectionState()
	if !state.HandshakeComplete || state.NegotiatedProtocol != "h2" {
		return nil, nil, fmt.Errorf("handshake: the client did not negotiate HTTP/2")
	}
	return conn, credentials.TLSInfo{
		State:          state,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// Clone implements credentials.TransportCredentials.
func (c serverCredentials) Clone() credentials.TransportCredentials {
	return serverCredentials{c.TransportCredentials.Clone()}
}
