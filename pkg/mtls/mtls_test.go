package mtls

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority("default/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func identity(t *testing.T, a *Authority, role Role, name string) *Identity {
	t.Helper()
	dir := t.TempDir()
	issue(t, a, dir, Peer{Role: role, Name: name})
	i, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func issue(t *testing.T, a *Authority, dir string, peer Peer) {
	t.Helper()
	pair, err := a.Issue(peer, []string{"127.0.0.1", "hadoop-jindofs-master-0"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(dir); err != nil {
		t.Fatal(err)
	}
}

// handshake connects a client to a server and returns the error of each end.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	seen := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			seen <- err
			return
		}
		defer conn.Close()
		secured := tls.Server(conn, server)
		err = secured.HandshakeContext(context.Background())
		if err == nil {
			_, err = secured.Write([]byte("x"))
		}
		seen <- err
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	secured := tls.Client(conn, client)
	_ = secured.SetDeadline(time.Now().Add(10 * time.Second))
	if _, clientErr = secured.Read(make([]byte, 1)); clientErr != nil {
		conn.Close()
	}
	return <-seen, clientErr
}

func TestRolesThatMayConnect(t *testing.T) {
	ours, others := authority(t), authority(t)
	master := identity(t, ours, Master, "m0")
	for _, test := range []struct {
		name   string
		client *tls.Config
		want   bool
	}{
		{"a worker of this runtime", identity(t, ours, Worker, "w0").ClientConfig(Master, "m0"), true},
		{"any master", identity(t, ours, Worker, "w0").ClientConfig(Master, ""), true},
		{"a role that the port does not accept", identity(t, ours, Fuse, "f0").ClientConfig(Master, "m0"), false},
		{"a worker of another runtime", identity(t, others, Worker, "w0").ClientConfig(Master, "m0"), false},
		{"a client that expects another master", identity(t, ours, Worker, "w0").ClientConfig(Master, "m1"), false},
		{"a client that expects a worker", identity(t, ours, Worker, "w0").ClientConfig(Worker, ""), false},
		{"a client without certificate", &tls.Config{InsecureSkipVerify: true}, false},
		{"TLS 1.2", func() *tls.Config {
			c := identity(t, ours, Worker, "w0").ClientConfig(Master, "m0")
			c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			return c
		}(), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			serverErr, clientErr := handshake(t, master.ServerConfig(Master, Worker), test.client)
			if ok := serverErr == nil && clientErr == nil; ok != test.want {
				t.Fatalf("connected: %v, server error %v, client error %v", ok, serverErr, clientErr)
			}
		})
	}
}

func TestAnExpiredCertificateIsRefused(t *testing.T) {
	a := authority(t)
	pair, err := a.Issue(Peer{Role: Worker, Name: "w0"}, nil, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := pair.Save(dir); err != nil {
		t.Fatal(err)
	}
	expired, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if serverErr, _ := handshake(t, identity(t, a, Master, "m0").ServerConfig(), expired.ClientConfig(Master, "")); serverErr == nil {
		t.Fatal("accepted")
	}
}

func TestRenewalUnderARunningServer(t *testing.T) {
	first, second := authority(t), authority(t)
	dir := t.TempDir()
	issue(t, first, dir, Peer{Role: Master, Name: "m0"})
	server, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	config := server.ServerConfig()
	issue(t, second, dir, Peer{Role: Master, Name: "m0"})
	server.read = time.Time{} // as if reloadAfter had passed
	serverErr, clientErr := handshake(t, config, identity(t, second, Worker, "w0").ClientConfig(Master, "m0"))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("the renewed certificate is not used: %v, %v", serverErr, clientErr)
	}
}

func TestFilesThatBreakLeaveTheCertificateInUse(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	issue(t, a, dir, Peer{Role: Master, Name: "m0"})
	server, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, CertFile), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.read = time.Time{}
	if server.Expires().IsZero() {
		t.Fatal("the old certificate was dropped")
	}
	if server.Err() == nil {
		t.Fatal("Err does not report that the files are broken")
	}
}

// TestLoadIdentityOf checks that each instance with a certificate of its own
// gets that one, and any other the one of the role.
func TestLoadIdentityOf(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	issue(t, a, dir, Peer{Role: Fuse, Name: "fuse"})
	for _, name := range []string{"m-0", "m-1"} {
		pair, err := a.Issue(Peer{Role: Master, Name: name}, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{name + ".crt": pair.Cert, name + ".key": pair.Key} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]Peer{
		"m-0": {Master, "m-0"}, "m-1": {Master, "m-1"}, "m-2": {Fuse, "fuse"}, "": {Fuse, "fuse"},
	} {
		i, err := LoadIdentityOf(dir, name)
		if err != nil || i.Peer() != want {
			t.Errorf("%q is %v, want %v, error %v", name, i.Peer(), want, err)
		}
	}
}

func TestNewIdentity(t *testing.T) {
	a := authority(t)
	pair, err := a.Issue(Peer{Role: Admin, Name: "controller"}, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewIdentity(pair)
	if err != nil {
		t.Fatal(err)
	}
	server := identity(t, a, Master, "m0")
	serverErr, clientErr := handshake(t, server.ServerConfig(Admin), client.ClientConfig(Master, "m0"))
	if serverErr != nil || clientErr != nil {
		t.Errorf("server: %v, client: %v", serverErr, clientErr)
	}
	pair.CA = nil
	if _, err := NewIdentity(pair); err == nil {
		t.Error("an identity without an authority was accepted")
	}
}

func TestLoadIdentityReportsTheCause(t *testing.T) {
	a := authority(t)
	for name, test := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"no directory":   {os.RemoveAll, "no such file"},
		"no certificate": {func(dir string) error { return os.Remove(filepath.Join(dir, CertFile)) }, CertFile},
		"empty CA":       {func(dir string) error { return os.WriteFile(filepath.Join(dir, CAFile), nil, 0o600) }, CAFile},
		"key of another": {func(dir string) error {
			pair, err := a.Issue(Peer{Role: Master, Name: "x"}, nil, time.Hour)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, KeyFile), pair.Key, 0o600)
		}, "match"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tls")
			issue(t, a, dir, Peer{Role: Master, Name: "m0"})
			if err := test.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestAuthoritySaveAndLoad(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	if err := a.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	serverErr, clientErr := handshake(t, identity(t, a, Master, "m0").ServerConfig(), identity(t, loaded, Worker, "w0").ClientConfig(Master, "m0"))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("a certificate of the loaded authority is not trusted: %v, %v", serverErr, clientErr)
	}
	if info, err := os.Stat(filepath.Join(dir, caKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the mode of the key is %v, %v", info.Mode(), err)
	}
}

func TestRights(t *testing.T) {
	a := authority(t)
	server := identity(t, a, Master, "m0")
	rights := Rights{"/grpc.health.v1.Health/Check": {Admin, Worker}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(server.ServerOptions(rights)...)
	healthv1.RegisterHealthServer(s, health.NewServer())
	go func() { _ = s.Serve(listener) }()
	defer s.Stop()

	for _, test := range []struct {
		role Role
		call func(ctx context.Context, c healthv1.HealthClient) error
		want codes.Code
	}{
		{Admin, check, codes.OK},
		{Worker, check, codes.OK},
		{Fuse, check, codes.PermissionDenied},
		{Admin, watch, codes.PermissionDenied},
	} {
		conn, err := identity(t, a, test.role, "x").Dial(listener.Addr().String(), Master, "m0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err = test.call(ctx, healthv1.NewHealthClient(conn))
		cancel()
		_ = conn.Close()
		if status.Code(err) != test.want {
			t.Errorf("%s got %v, want %s", test.role, err, test.want)
		}
	}
}

func check(ctx context.Context, c healthv1.HealthClient) error {
	_, err := c.Check(ctx, &healthv1.HealthCheckRequest{})
	return err
}

// watch calls a method that no rights grant.
func watch(ctx context.Context, c healthv1.HealthClient) error {
	stream, err := c.Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}
