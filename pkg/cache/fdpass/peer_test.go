package fdpass

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// TestCertificates checks which peers are lent a file of the mount at /m.
func TestCertificates(t *testing.T) {
	foreign, err := mtls.NewAuthority("default/other")
	if err != nil {
		t.Fatal(err)
	}
	own := func(t *testing.T) *mtls.Identity { return identity(t, mtls.Worker, worker) }
	for name, test := range map[string]struct {
		server func(t *testing.T) *mtls.Identity
		client func(t *testing.T) *mtls.Identity
		want   string // part of the error; "" for none
	}{
		"the mount": {own, func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Fuse, "reader", mtls.Grant{Path: "/m"})
		}, ""},
		"all mounts": {own, func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Fuse, "reader", mtls.Grant{Path: "/"})
		}, ""},
		"an earlier certificate": {own, func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Fuse, "reader")
		}, ""},
		"another mount": {own, func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Fuse, "reader", mtls.Grant{Path: "/other"}, mtls.Grant{Path: "/m/below"})
		}, "not in the certificate"},
		"client of another role": {own, func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Master, "reader")
		}, "connect to worker"},
		"client of another runtime": {own, func(t *testing.T) *mtls.Identity {
			return issue(t, foreign, mtls.Fuse, "reader")
		}, "connect to worker"},
		"another worker": {func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Worker, "other")
		}, func(t *testing.T) *mtls.Identity { return identity(t, mtls.Fuse, "reader") }, "the server is worker/other"},
		"server of another role": {func(t *testing.T) *mtls.Identity {
			return identity(t, mtls.Fuse, worker)
		}, func(t *testing.T) *mtls.Identity { return identity(t, mtls.Fuse, "reader") }, "connect to worker"},
		"server of another runtime": {func(t *testing.T) *mtls.Identity {
			return issue(t, foreign, mtls.Worker, worker)
		}, func(t *testing.T) *mtls.Identity { return identity(t, mtls.Fuse, "reader") }, "connect to worker"},
	} {
		t.Run(name, func(t *testing.T) {
			s, path, stop := start(t)
			stop()
			serveAs(t, s, path, test.server(t))
			f, err := connectAs(t, path, test.client(t)).Open(t.Context(), good)
			if f != nil {
				defer f.Close()
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if lent := s.lent() > 0; lent != (test.want == "") {
				t.Errorf("lent: %t", lent)
			}
		})
	}
}

// TestWithoutCertificate checks that a process without a certificate is lent nothing,
// whether it runs the handshake or not.
func TestWithoutCertificate(t *testing.T) {
	s, path, _ := start(t)
	open := mustEncode(t, message{kind: kindOpen, id: 1, key: good})
	earlier := append([]byte(nil), open...)
	earlier[3] = 1
	for name, send := range map[string]func(conn *net.UnixConn){
		"no handshake":    func(conn *net.UnixConn) { _, _ = conn.Write(open) },
		"earlier version": func(conn *net.UnixConn) { _, _ = conn.Write(earlier) },
		"a handshake without a certificate": func(conn *net.UnixConn) {
			encrypted := tls.Client(fdsock.NewStream(conn), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
			_ = encrypted.HandshakeContext(t.Context()) // The server refuses it afterwards.
			_, _ = conn.Write(open)
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.DialUnix(fdsock.Network, nil, &net.UnixAddr{Name: path, Net: fdsock.Network})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			send(conn)
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			for {
				// The packets may be alerts of the handshake, without descriptors.
				_, fds, err := fdsock.Receive(conn, make([]byte, maxMessage+1))
				if len(fds) > 0 {
					fdsock.Close(fds)
					t.Fatal("received a descriptor")
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the connection was not closed")
				}
				if err != nil {
					break
				}
			}
		})
	}
	if s.lent() != 0 {
		t.Errorf("%d are lent", s.lent())
	}
}

// TestServerOfVersion1 checks that a client fails immediately with a server of the
// protocol without a handshake, and does not connect for each request.
func TestServerOfVersion1(t *testing.T) {
	dir, err := os.MkdirTemp("", "jindo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "w.sock")
	listener, err := net.ListenUnix(fdsock.Network, &net.UnixAddr{Name: path, Net: fdsock.Network})
	if err != nil {
		t.Fatal(err)
	}
	connections := make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			connections <- struct{}{}
			// It ends a connection whose first packet is not one of version 1.
			buf := make([]byte, maxMessage+1)
			if n, err := conn.Read(buf); err == nil && string(buf[:min(n, 4)]) == "JFD\x01" {
				t.Error("the client sent a message of version 1")
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	client := connect(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 10 {
		if _, err := client.Open(ctx, good); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the request returned %v", err)
		}
		client.mu.Lock()
		client.retry = time.Now().Add(time.Hour) // The time between attempts does not pass here.
		client.mu.Unlock()
	}
	if n := len(connections); n != 1 {
		t.Errorf("ten requests made %d connections", n)
	}
}

// TestRequestDoesNotWaitForTheHandshake checks that the deadline of a request bounds
// its wait for a server that does not respond, and that Close ends the attempt.
func TestRequestDoesNotWaitForTheHandshake(t *testing.T) {
	dir, err := os.MkdirTemp("", "jindo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "w.sock")
	listener, err := net.ListenUnix(fdsock.Network, &net.UnixAddr{Name: path, Net: fdsock.Network})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // which never accepts
	client := connect(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Open(ctx, good); !errors.Is(err, context.Canceled) {
		t.Errorf("the request returned %v", err)
	}
	client.mu.Lock()
	current := client.attempt
	client.mu.Unlock()
	if current == nil {
		t.Fatal("no attempt is in progress")
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	<-current.done
	if !errors.Is(current.err, ErrClosed) {
		t.Errorf("the attempt returned %v", current.err)
	}
	if _, err := client.Open(t.Context(), good); !errors.Is(err, ErrClosed) {
		t.Errorf("a request after Close returned %v", err)
	}
}
