//go:build linux

package ports

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReserve checks that a reserved port refuses connections, is given to no other
// socket, and can be listened at, again and again.
func TestReserve(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", Reserve(t))
	for range 3 {
		if conn, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("a connection to a port at which nothing listens: %v, error %v", conn, err)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = listener.Close()
	}
	seen := map[string]bool{address: true}
	for range 500 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		if seen[listener.Addr().String()] {
			t.Fatalf("the kernel has given %s to two sockets", listener.Addr())
		}
		seen[listener.Addr().String()] = true
	}
}
