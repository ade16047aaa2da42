package loopback

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ownAddress is one of this machine's that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	t.Skip("not run: this machine has only loopback addresses")
	return ""
}

func TestBothAddressesAreHeard(t *testing.T) {
	host := ownAddress(t)
	listener, err := Listen(t.Context(), net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{host, "127.0.0.1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		heard, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = heard.Close(), conn.Close()
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed one answered %v", err)
	}
}

func TestOneAddressIsEnough(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		listener, err := Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if _, two := listener.(*merged); two {
			t.Errorf("%s is listened on twice", address)
		}
		_ = listener.Close()
	}
	if _, err := Listen(t.Context(), "127.0.0.1:x"); err == nil {
		t.Error("no error for an address that is none")
	}
}
