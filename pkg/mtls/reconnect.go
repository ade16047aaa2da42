package mtls

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// Reconnect makes a connection that waits after a failed attempt try again at once.
// It is safe for concurrent use: ResetConnectBackoff iterates over the addresses of
// the connection without their lock (grpc v1.85.0, clientconn.go), and so must not
// be called while the connection first connects and adds them. In the state
// TRANSIENT_FAILURE no address is added.
func Reconnect(conn *grpc.ClientConn) {
	if conn.GetState() == connectivity.TransientFailure {
		conn.ResetConnectBackoff()
	}
}
