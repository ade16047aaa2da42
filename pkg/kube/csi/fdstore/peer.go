//go:build linux

package fdstore

import (
	"net"

	"golang.org/x/sys/unix"
)

// gone asks the kernel whether the other side has closed, without reading.
func peerClosed(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	over := false
	if err := raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(poll, 0); err == nil && n > 0 {
			over = poll[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLRDHUP) != 0
		}
	}); err != nil {
		return true
	}
	return over
}
