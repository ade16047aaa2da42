//go:build linux

// Package ports reserves ports of the loopback interface for tests that have to know
// a port before a server listens there, or at which nothing may listen.
package ports

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Reserve returns a TCP port of 127.0.0.1 at which nothing listens; see ReserveAt.
func Reserve(t testing.TB) int {
	t.Helper()
	return ReserveAt(t, "127.0.0.1")
}

// ReserveAt returns a TCP port of an IPv4 address of the loopback interface at which
// nothing listens. Until the end of the test the kernel gives it to no socket that does
// not ask for it, in any process. A server of the test can listen there.
func ReserveAt(t testing.TB, host string) int {
	t.Helper()
	port, release, err := Open(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return port
}

// Open is ReserveAt outside of tests: the port is reserved until release is called.
func Open(host string) (port int, release func(), err error) {
	address, err := netip.ParseAddr(host)
	if err != nil || !address.Is4() {
		return 0, nil, fmt.Errorf("reserve a port: %q is no IPv4 address", host)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, fmt.Errorf("reserve a port of %s: %w", host, err)
	}
	// A socket that is bound and does not listen shares its port with a listener if
	// both have this option, which package net sets for every listener.
	bound, err := unix.Sockaddr(nil), errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: address.As4()}),
	)
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		return 0, nil, errors.Join(fmt.Errorf("reserve a port of %s: %w", host, err), unix.Close(fd))
	}
	inet, ok := bound.(*unix.SockaddrInet4)
	if !ok {
		return 0, nil, errors.Join(fmt.Errorf("reserve a port of %s: the socket has the address %v", host, bound), unix.Close(fd))
	}
	return inet.Port, func() { _ = unix.Close(fd) }, nil
}
