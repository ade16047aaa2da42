package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// ready is the encrypted byte with which the server ends the handshake.
const ready = 'J'

// Conn is a connection over a unix socket whose peer has proved its certificate.
// Its bytes are not encrypted.
type Conn struct {
	net.Conn
	state tls.ConnectionState
}

// ConnectionState returns the state of the handshake: the certificates of the peer.
// With it, net/http sets Request.TLS as for a connection over TLS.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.state }

// Packets returns the connection of packets below a connection that a listener of
// [ListenPackets] has accepted; nil for one of another listener. Close must be called
// on the Conn.
func (c *Conn) Packets() *net.UnixConn {
	for conn := c.Conn; ; {
		if stream, ok := conn.(*fdsock.Stream); ok {
			return stream.UnixConn
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = wrapper.NetConn()
	}
}

// Handshake returns a function that runs the server's side of the handshake of a
// connection, for peers of the given roles. It returns a *[Conn] and role/name of
// the peer.
func Handshake(identity *mtls.Identity, accept ...mtls.Role) func(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
	handshake := identity.Handshake(accept...)
	return func(ctx context.Context, raw net.Conn) (net.Conn, string, error) {
		secured, owner, err := handshake(ctx, raw)
		if err != nil {
			return nil, "", err
		}
		encrypted, ok := secured.(*tls.Conn)
		if !ok {
			return nil, "", fmt.Errorf("handshake: the connection is not TLS")
		}
		stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
		_, err = encrypted.Write([]byte{ready})
		if !stop() || err != nil {
			return nil, "", fmt.Errorf("end the handshake: %w", firstError(err, context.Cause(ctx)))
		}
		return &Conn{Conn: raw, state: encrypted.ConnectionState()}, owner, nil
	}
}

// dialSocket connects to the socket for bytes of a worker and runs the client's side
// of the handshake.
func dialSocket(ctx context.Context, path string, identity *mtls.Identity, worker string) (net.Conn, error) {
	raw, err := dial(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	state, err := greet(ctx, raw, identity, worker)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &Conn{Conn: raw, state: state}, nil
}

// DialPackets connects to a socket of packets (see [ListenPackets]) and runs the
// client's side of the handshake with the given worker.
func DialPackets(ctx context.Context, path string, identity *mtls.Identity, worker string) (*net.UnixConn, error) {
	raw, err := dial(ctx, fdsock.Network, path)
	if err != nil {
		return nil, err
	}
	if _, err := greet(ctx, fdsock.NewStream(raw), identity, worker); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return raw, nil
}

// dial connects to a socket of a process of this user or of root.
func dial(ctx context.Context, network, path string) (*net.UnixConn, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, path)
	if err != nil {
		return nil, err
	}
	raw := c.(*net.UnixConn) //nolint:forcetypeassert // The network is of unix sockets.
	peer, err := fdsock.Peer(raw)
	if err == nil {
		err = allowedServer(peer, os.Geteuid())
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return raw, nil
}

// greet verifies the certificate of the server of a connection, and proves that of
// this process.
func greet(ctx context.Context, raw net.Conn, identity *mtls.Identity, worker string) (tls.ConnectionState, error) {
	var none tls.ConnectionState
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	encrypted := tls.Client(raw, identity.ClientConfig(mtls.Worker, worker))
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return none, fmt.Errorf("handshake: %w", err)
	}
	// A server that refuses this certificate does so after the client's part of the
	// handshake.
	var last [1]byte
	if n, err := encrypted.Read(last[:]); n != 1 || last[0] != ready {
		return none, fmt.Errorf("handshake: the server has not accepted this client: %w", firstError(err, errNotReady))
	}
	if !stop() {
		return none, context.Cause(ctx)
	}
	return encrypted.ConnectionState(), nil
}

var errNotReady = fmt.Errorf("unexpected end of the handshake")

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
