package fdpass

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mtls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// worker is the name of the server in its certificate.
const worker = "hadoop-jindofs-worker-0"

// newAuthority returns the authority of all certificates of the tests.
var newAuthority = sync.OnceValues(func() (*mtls.Authority, error) { return mtls.NewAuthority("default/hadoop") })

func identity(t *testing.T, role mtls.Role, name string, grants ...mtls.Grant) *mtls.Identity {
	t.Helper()
	authority, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return issue(t, authority, role, name, grants...)
}

func issue(t *testing.T, authority *mtls.Authority, role mtls.Role, name string, grants ...mtls.Grant) *mtls.Identity {
	t.Helper()
	pair, err := authority.Issue(mtls.Peer{Role: role, Name: name}, nil, time.Hour, grants...)
	if err != nil {
		t.Fatal(err)
	}
	i, err := mtls.NewIdentity(pair)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func start(t *testing.T) (*shelf, string, func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "jindo") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &shelf{path: filepath.Join(dir, "a")}
	if err := os.WriteFile(s.path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "w.sock")
	return s, path, serve(t, s, path)
}

func serve(t *testing.T, s *shelf, path string) (stop func()) {
	t.Helper()
	return serveAs(t, s, path, identity(t, mtls.Worker, worker))
}

// serveAs serves with an identity.
func serveAs(t *testing.T, s *shelf, path string, identity *mtls.Identity) (stop func()) {
	t.Helper()
	limits := Limits()
	limits.Handshake = time.Minute // A busy machine may delay a handshake for long.
	server, err := Listen(Config{
		Path: path, Group: fdsock.NoGroup, Identity: identity, Accept: []mtls.Role{mtls.Fuse},
		Limits: limits, Lender: s, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func connect(t *testing.T, path string) *Client {
	t.Helper()
	return connectAs(t, path, identity(t, mtls.Fuse, "reader"))
}

// connectAs returns a client with an identity.
func connectAs(t *testing.T, path string, identity *mtls.Identity) *Client {
	t.Helper()
	c := NewClient(path, identity, worker)
	c.timeout = time.Minute
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// dial returns a connection after the handshake.
func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := transport.DialPackets(t.Context(), path, identity(t, mtls.Fuse, "reader"), worker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

var good = Key{"m", "a", "e", 5}

func TestBorrow(t *testing.T) {
	s, path, _ := start(t)
	c := connect(t, path)
	f, err := c.Open(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := f.file.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a borrowed file can be written")
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children inherit the descriptor: %v %v", flags, err)
	}
	if s.lent() != 1 {
		t.Errorf("%d are lent", s.lent())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error("closing twice:", err)
	}
	eventually(t, "the file is returned", func() bool { return s.lent() == 0 })
}

func TestRefusals(t *testing.T) {
	s, path, _ := start(t)
	c := connect(t, path)
	if _, err := c.Open(t.Context(), Key{"m", "b", "e", 5}); !errors.Is(err, ErrNotSealed) {
		t.Errorf("not sealed: %v", err)
	}
	s.mu.Lock()
	s.err = errors.New("the disk is on fire")
	s.mu.Unlock()
	if _, err := c.Open(t.Context(), good); err == nil || errors.Is(err, ErrNotSealed) || !strings.Contains(err.Error(), "on fire") {
		t.Errorf("refused: %v", err)
	}
	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	// A file of another length is not of the version.
	if err := os.WriteFile(s.path, []byte("longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), good); !errors.Is(err, errProtocol) {
		t.Errorf("a file of another length: %v", err)
	}
	eventually(t, "the file is returned", func() bool { return s.lent() == 0 })
	if _, err := c.Open(t.Context(), Key{Mount: strings.Repeat("m", maxMessage)}); err == nil {
		t.Error("a key that is too long was sent")
	}
}

func TestConnectionLossReturnsAllFiles(t *testing.T) {
	s, path, stop := start(t)
	c := connect(t, path)
	var files []*File
	for range 20 {
		f, err := c.Open(t.Context(), good)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	other := connect(t, path)
	f, err := other.Open(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other client's file is returned", func() bool { return s.lent() == 20 })
	b := make([]byte, 5)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "hello" {
		t.Errorf("an open file after the end of its connection: %q, %v", b, err)
	}
	_ = f.Close()
	stop()
	if s.lent() != 0 {
		t.Errorf("%d are lent after the server has ended", s.lent())
	}
	if _, err := c.Open(t.Context(), good); err == nil {
		t.Error("opened without a server")
	}
	serve(t, s, path) // a new server that replaces the socket
	eventually(t, "the client reconnects", func() bool {
		again, err := c.Open(t.Context(), good)
		if err == nil {
			files = append(files, again)
		}
		return err == nil
	})
	for _, f := range files {
		if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		_ = f.Close()
	}
	eventually(t, "all files are returned", func() bool { return s.lent() == 0 })
}

func TestConcurrentUse(t *testing.T) {
	s, path, _ := start(t)
	c := connect(t, path)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				if i%4 == 0 {
					cancel() // leave immediately
				}
				if f, err := c.Open(ctx, good); err == nil {
					_ = f.Close()
				} else if i%4 != 0 {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	eventually(t, "all files are returned", func() bool { return s.lent() == 0 })
}

// TestConnectionsOfOneCertificate: one peer cannot take the connections of others.
func TestConnectionsOfOneCertificate(t *testing.T) {
	_, path, _ := start(t)
	served := func(conn *net.UnixConn) bool {
		_, _ = conn.Write(mustEncode(t, message{kind: kindOpen, id: 1, key: good}))
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		m, file, err := receive(conn, make([]byte, maxMessage+1))
		if file != nil {
			_ = file.Close()
		}
		return err == nil && m.kind == kindOpened
	}
	limit := Limits().PerOwner
	for i := range limit + 1 {
		if got := served(dial(t, path)); got != (i < limit) {
			t.Errorf("connection %d is served: %t", i, got)
		}
	}
	if _, err := connectAs(t, path, identity(t, mtls.Fuse, "other")).Open(t.Context(), good); err != nil {
		t.Errorf("another peer: %v", err)
	}
}

// TestGarbage checks that the server closes the connection of a client that
// violates the protocol, and the descriptors it sends.
func TestGarbage(t *testing.T) {
	s, path, _ := start(t)
	open, err := message{kind: kindOpen, id: 1, key: good}.encode()
	if err != nil {
		t.Fatal(err)
	}
	future := append([]byte(nil), open...)
	future[3] = version + 1
	for name, packets := range map[string][][]byte{
		"noise":           {[]byte("GET / HTTP/1.1\r\n\r\n")},
		"another version": {future},
		"cut":             {open[:20]},
		"too long":        {append(open, make([]byte, maxMessage)...)},
		"a reply":         {mustEncode(t, message{kind: kindOpened, id: 1})},
		"one id twice":    {open, open},
		"cut uses":        {mustEncode(t, message{kind: kindUses, uses: []use{{id: 1}}})[:30]},
		"a recall":        {mustEncode(t, message{kind: kindRecalled, id: 1})},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, path)
			for _, p := range packets {
				if _, _, err := conn.WriteMsgUnix(p, unix.UnixRights(int(os.Stdin.Fd())), nil); err != nil {
					t.Fatal(err)
				}
			}
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
			buf := make([]byte, maxMessage+1)
			for {
				_, file, err := receive(conn, buf)
				if file != nil {
					_ = file.Close()
				}
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					t.Fatal("the connection was not closed")
				}
				if err != nil {
					break
				}
			}
		})
	}
	eventually(t, "all files are returned", func() bool { return s.lent() == 0 })
}

func mustEncode(t *testing.T, m message) []byte {
	t.Helper()
	b, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzDecode(f *testing.F) {
	for _, m := range []message{
		{kind: kindOpen, id: 7, key: good},
		{kind: kindOpened, outcome: refused, id: 7, text: "why"},
		{kind: kindGiveBack, id: 1},
		{kind: kindOpen, id: 7, key: good, recalls: true},
		{kind: kindUses, uses: []use{{id: 1, opens: 2, idle: true, bytes: 3}, {id: 4}}},
		{kind: kindRecalled, id: 1, more: []uint64{2, 3}},
	} {
		b, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("JFD\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			if !errors.Is(err, errProtocol) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(again); err != nil || !reflect.DeepEqual(back, m) && len(m.text) <= 1024 {
			t.Errorf("%+v was decoded as %+v, %v", m, back, err)
		}
	})
}
