//go:build linux

package link

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// open returns a link of 100 MB/s.
func open(t *testing.T) *Link {
	t.Helper()
	if _, err := exec.LookPath("tc"); err != nil || os.Geteuid() != 0 {
		t.Skip("a link requires root, ip and tc")
	}
	l, err := Open(t.Context(), 100e6)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// greet accepts connections at an address and sends each the address that it came
// from.
func greet(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(conn, conn.RemoteAddr())
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// Connections from the namespace reach this host at the near end and at loopback
// networks that it was given, and come from the far end.
func TestConnectionsPassTheLink(t *testing.T) {
	l := open(t)
	if err := l.Reach(t.Context(), netip.MustParsePrefix("127.201.7.0/24")); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{l.Near().String(), "127.201.7.21"} {
		conn, err := l.Dial(t.Context(), "tcp", greet(t, net.JoinHostPort(host, "0")))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil || !strings.HasPrefix(string(got), l.Far().String()+":") {
			t.Errorf("to %s: the connection came from %q, %v", host, got, err)
		}
	}
	if conn, err := l.Dial(t.Context(), "tcp", greet(t, "127.0.0.1:0")); err == nil {
		_ = conn.Close()
		t.Error("the namespace shares 127.0.0.1 with this host")
	}
}

func TestCommandsRunInTheNamespace(t *testing.T) {
	l := open(t)
	command := exec.CommandContext(t.Context(), "ip", "-brief", "address", "show", "dev", inside)
	var output strings.Builder
	command.Stdout = &output
	if err := l.wait(command); err != nil || !strings.Contains(output.String(), l.Far().String()) {
		t.Errorf("addresses: %q, %v", output.String(), err)
	}
}

func TestReachRejectsOtherNetworks(t *testing.T) {
	if err := new(Link).Reach(t.Context(), netip.MustParsePrefix("10.0.0.0/8")); err == nil {
		t.Error("a network that is not of loopback addresses was accepted")
	}
}
