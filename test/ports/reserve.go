//go:build linux

// Package ports reserves ports of the loopback interface for tests that have to know
// a port before a server listens there, or at which nothing may listen.
package ports

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Reserve returns a TCP port of 127.0.0.1 at which nothing listens. Until the end of
// the test the kernel gives it to no socket that does not ask for it, in any process.
// A server of the test can listen there.
func Reserve(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	// A socket that is bound and does not listen shares its port with a listener if
	// both have this option, which package net sets for every listener.
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	); err != nil {
		t.Fatal(err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	inet, ok := address.(*unix.SockaddrInet4)
	if !ok {
		t.Fatalf("the socket has the address %v", address)
	}
	return inet.Port
}
