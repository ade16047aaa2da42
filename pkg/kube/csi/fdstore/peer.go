//go:build linux

package fdstore

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerClosed reports whether the peer has closed the connection, without reading
// from it.
func peerClosed(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	if err := raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(poll, 0); err == nil && n > 0 {
			closed = poll[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLRDHUP) != 0
		}
	}); err != nil {
		return true
	}
	return closed
}
