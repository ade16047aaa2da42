package transport

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
)

const worker = "hadoop-jindofs-worker-0"

// bed is a server on a port and on a socket that returns the name of the peer and
// how it was reached.
type bed struct {
	t         *testing.T
	dir       string
	authority *mtls.Authority
	port      net.Addr
	server    *http.Server
	serving   sync.WaitGroup
}

func newBed(t *testing.T) *bed {
	t.Helper()
	dir, err := os.MkdirTemp("", "jindo") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	authority, err := mtls.NewAuthority("default/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, dir: dir, authority: authority}
	b.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			by := "port"
			if r.Context().Value(http.LocalAddrContextKey).(net.Addr).Network() == "unix" {
				by = "socket"
			}
			peer, err := mtls.PeerOfState(*r.TLS)
			_, _ = fmt.Fprint(w, by, " ", peer, " ", err)
		}),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.port = tcp.Addr()
	identity := b.identity(mtls.Worker, worker)
	b.serve(netlimit.Listen(tcp, netlimit.Config{Port: "test", Limits: limits(), Handshake: identity.Handshake(mtls.Fuse)}))
	t.Cleanup(func() {
		_ = b.server.Close()
		b.serving.Wait()
		_ = os.RemoveAll(dir)
	})
	return b
}

func limits() netlimit.Limits {
	return netlimit.Limits{Pending: 64, PerAddress: 64, Handshake: 20 * time.Second, Open: 256, PerOwner: 256, PerOwnerAddress: 256}
}

func (b *bed) serve(l net.Listener) { b.serving.Go(func() { _ = b.server.Serve(l) }) }

// openSocket serves on the socket until the listener that it returns is closed.
func (b *bed) openSocket(identity *mtls.Identity) net.Listener {
	b.t.Helper()
	inner, err := Listen(SocketPath(b.dir, worker), fdsock.NoGroup, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	l := netlimit.Listen(inner, netlimit.Config{Port: "socket", Limits: limits(), Handshake: Handshake(identity, mtls.Fuse)})
	b.serve(l)
	return l
}

func (b *bed) identity(role mtls.Role, name string) *mtls.Identity {
	b.t.Helper()
	return issue(b.t, b.authority, role, name)
}

func issue(t *testing.T, authority *mtls.Authority, role mtls.Role, name string) *mtls.Identity {
	t.Helper()
	pair, err := authority.Issue(mtls.Peer{Role: role, Name: name}, []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	i, err := mtls.NewIdentity(pair)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (b *bed) transport(identity *mtls.Identity, name string) *Transport {
	b.t.Helper()
	t := New(Config{Identity: identity, Worker: name, SocketDir: b.dir})
	b.t.Cleanup(t.CloseIdleConnections)
	return t
}

func (b *bed) get(t *Transport) (string, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+b.port.String()+"/", nil)
	if err != nil {
		return "", err
	}
	response, err := t.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func (b *bed) want(t *Transport, want string) {
	b.t.Helper()
	if got, err := b.get(t); err != nil || got != want {
		b.t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

const (
	bySocket = "socket fuse/reader <nil>"
	byPort   = "port fuse/reader <nil>"
)

// TestSocketIsPreferred checks that requests use the socket, with the identity of
// the certificate, over few connections and without TLS.
func TestSocketIsPreferred(t *testing.T) {
	b := newBed(t)
	b.openSocket(b.identity(mtls.Worker, worker))
	transport := b.transport(b.identity(mtls.Fuse, "reader"), worker)
	for range 200 {
		b.want(transport, bySocket)
	}
	// A connection is not used again if the goroutine that has written the request runs
	// 50 ms after the response: on a busy machine there are some more.
	if got := transport.Counts(); got.TLS != 0 || got.Sockets > 10 {
		t.Errorf("200 requests opened %+v", got)
	}
}

// TestFallback checks that TLS is used while there is no socket, and the socket
// again when it is back.
func TestFallback(t *testing.T) {
	b := newBed(t)
	transport := b.transport(b.identity(mtls.Fuse, "reader"), worker)
	b.want(transport, byPort)
	socket := b.openSocket(b.identity(mtls.Worker, worker))
	transport.mu.Lock()
	transport.until = time.Time{}
	transport.mu.Unlock()
	b.want(transport, bySocket)
	_ = socket.Close() // as the end of the worker
	transport.CloseIdleConnections()
	for range 20 {
		b.want(transport, byPort)
	}
	if got := transport.Counts(); got.TLS > 8 { // two, and some on a busy machine
		t.Errorf("21 requests over the port took %d handshakes", got.TLS)
	}
}

// TestIdentities checks that both ends refuse, over the socket, what they refuse
// over TLS. The client then uses TLS, and fails where that refuses too.
func TestIdentities(t *testing.T) {
	foreign, err := mtls.NewAuthority("default/other")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		server func(b *bed) *mtls.Identity // of the socket
		client func(b *bed) *mtls.Identity
		worker string // that the client expects
		want   string // "" for an error
	}{
		{"client of another role", nil, func(b *bed) *mtls.Identity { return b.identity(mtls.Admin, "reader") }, worker, ""},
		{"client of another runtime", nil, func(b *bed) *mtls.Identity { return issue(b.t, foreign, mtls.Fuse, "reader") }, worker, ""},
		{"server of another runtime", func(b *bed) *mtls.Identity { return issue(b.t, foreign, mtls.Worker, worker) }, nil, worker, byPort},
		{"server of another role", func(b *bed) *mtls.Identity { return b.identity(mtls.Fuse, worker) }, nil, worker, byPort},
		{"another worker", func(b *bed) *mtls.Identity { return b.identity(mtls.Worker, "other") }, nil, worker, byPort},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			server, client := b.identity(mtls.Worker, worker), b.identity(mtls.Fuse, "reader")
			if c.server != nil {
				server = c.server(b)
			}
			if c.client != nil {
				client = c.client(b)
			}
			b.openSocket(server)
			transport := b.transport(client, c.worker)
			got, err := b.get(transport)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
			if n := transport.Counts().Sockets; n != 0 {
				t.Errorf("the socket accepted %d connections", n)
			}
		})
	}
}

// TestPlainHTTPIsRefused checks that a request before the handshake gets no
// response.
func TestPlainHTTPIsRefused(t *testing.T) {
	b := newBed(t)
	b.openSocket(b.identity(mtls.Worker, worker))
	c, err := net.Dial("unix", SocketPath(b.dir, worker))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(c)
	if strings.Contains(string(got), "HTTP/1.1") {
		t.Errorf("got %q", got)
	}
}

// TestUsers checks which users may connect, and be connected to, by their user and
// group alone: the mode of the socket lets all of them.
func TestUsers(t *testing.T) {
	const other = 65534
	for _, c := range []struct {
		peer        unix.Ucred
		user, group int
		client      bool
		server      bool
	}{
		{unix.Ucred{Uid: 0, Gid: 0}, 1000, fdsock.NoGroup, true, true},
		{unix.Ucred{Uid: 1000, Gid: 5}, 1000, fdsock.NoGroup, true, true},
		{unix.Ucred{Uid: 1001, Gid: 1000}, 1000, fdsock.NoGroup, false, false},
		{unix.Ucred{Uid: 1001, Gid: 70}, 1000, 70, true, false},
		{unix.Ucred{Uid: 1001, Gid: 71}, 1000, 70, false, false},
		{unix.Ucred{Uid: other, Gid: ^uint32(0)}, 1000, fdsock.NoGroup, false, false},
	} {
		if got := allowedClient(&c.peer, c.user, c.group) == nil; got != c.client {
			t.Errorf("client %+v of user %d, group %d: %v", c.peer, c.user, c.group, got)
		}
		if got := allowedServer(&c.peer, c.user) == nil; got != c.server {
			t.Errorf("server %+v of user %d: %v", c.peer, c.user, got)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("not run: need root to connect as another user")
	}
	for _, network := range []string{"unix", fdsock.Network} {
		t.Run(network, func(t *testing.T) { testOtherUser(t, network, other) })
	}
}

// testOtherUser checks that neither a client nor a server of another user is accepted
// on a socket that all users may connect to.
func testOtherUser(t *testing.T, network string, other int) {
	b := newBed(t)
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	identity := b.identity(mtls.Fuse, "reader")
	connect := func(path string) error {
		var c net.Conn
		var err error
		if network == fdsock.Network {
			c, err = DialPackets(t.Context(), path, identity, worker)
		} else {
			c, err = dialSocket(t.Context(), path, identity, worker)
		}
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	serve := func(inner net.Listener) {
		b.serve(netlimit.Listen(inner, netlimit.Config{Port: "socket", Limits: limits(), Handshake: Handshake(b.identity(mtls.Worker, worker), mtls.Fuse)}))
	}
	// A client of another user.
	path := filepath.Join(b.dir, "own")
	inner, err := listen(network, path, fdsock.NoGroup, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serve(inner)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := connect(path); err != nil {
		t.Errorf("a client of this user: %v", err)
	}
	as(t, other, func() {
		if connect(path) == nil {
			t.Error("a client of another user was accepted")
		}
	})
	// A server of another user, with the worker's certificate.
	forged := filepath.Join(b.dir, "forged")
	if err := os.Mkdir(forged, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(forged, 0o777); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(forged, "socket")
	as(t, other, func() {
		inner, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
		if err != nil {
			t.Error(err)
			return
		}
		serve(&listener{UnixListener: inner, group: fdsock.NoGroup, packets: network == fdsock.Network, logger: slog.New(slog.DiscardHandler)})
	})
	if connect(path) == nil {
		t.Errorf("a server of user %d was accepted", other)
	}
}

// as runs f on a thread that has the given user and group, and ends the thread.
func as(t *testing.T, user int, f func()) {
	t.Helper()
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
			t.Error(errno)
			return
		}
		for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} {
			if _, _, errno := syscall.RawSyscall(call, uintptr(user), uintptr(user), uintptr(user)); errno != 0 {
				t.Error(errno)
				return
			}
		}
		f()
	})
	done.Wait()
}
