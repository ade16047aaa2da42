package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// stranger keeps one connection to a port for as long as the port does, or until
// ctx is done.
type stranger func(ctx context.Context, conn net.Conn)

// hold waits until the port closes the connection.
func hold(_ context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// clientHello is the beginning of a handshake: its record is longer than what is
// sent of it.
func clientHello() []byte {
	hello := append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 32)...)
	_, _ = rand.Read(hello[11:])
	return hello
}

func halfAHello(ctx context.Context, conn net.Conn) {
	_, _ = conn.Write(clientHello())
	hold(ctx, conn)
}

func aByteAtATime(ctx context.Context, conn net.Conn) {
	for _, b := range clientHello() {
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func aRequest(ctx context.Context, conn net.Conn) {
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	hold(ctx, conn)
}

// withCertificate completes the handshake of TLS, if the port allows it, and
// sends nothing more.
func withCertificate(identity *mtls.Identity) stranger {
	config := identity.ClientConfig(mtls.Master, "")
	config.NextProtos = []string{"h2"}
	return func(ctx context.Context, conn net.Conn) {
		secured := tls.Client(conn, config)
		if secured.HandshakeContext(ctx) == nil {
			hold(ctx, secured)
		}
	}
}

// flood keeps count connections of a stranger to an address open. It opens each
// again when the port closes it.
func flood(ctx context.Context, wait *sync.WaitGroup, address string, count int, act stranger) {
	for range count {
		wait.Go(func() {
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
				if err != nil {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				act(ctx, conn)
				stop()
				_ = conn.Close()
			}
		})
	}
}

// TestFailoverDuringAFlood: strangers hold connections to every port of every
// master while the leader dies. A command succeeds on the next leader, and the
// member that died joins again.
func TestFailoverDuringAFlood(t *testing.T) {
	other, err := mtls.NewAuthority("another runtime")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := other.Issue(mtls.Peer{Role: mtls.Master, Name: "m-0"}, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := mtls.NewIdentity(pair)
	if err != nil {
		t.Fatal(err)
	}
	long := os.Getenv("JINDO_LONG") != ""
	for _, test := range []struct {
		name  string
		count int
		act   func(c *cluster) stranger
		long  bool
	}{
		{name: "silent", count: 300, act: func(*cluster) stranger { return hold }},
		{name: "half a ClientHello", count: 300, act: func(*cluster) stranger { return halfAHello }},
		{name: "a byte a second", count: 300, act: func(*cluster) stranger { return aByteAtATime }, long: true},
		{name: "requests", count: 300, act: func(*cluster) stranger { return aRequest }, long: true},
		{name: "a burst", count: 4000, act: func(*cluster) stranger { return hold }, long: true},
		{name: "another runtime's certificate", count: 50, act: func(*cluster) stranger { return withCertificate(foreign) }, long: true},
		{
			name: "a worker's certificate", count: 300,
			act: func(c *cluster) stranger {
				return withCertificate(c.Issue(mtls.Peer{Role: mtls.Worker, Name: "w-0"}))
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.long && !long {
				t.Skip("JINDO_LONG is not set")
			}
			failoverDuring(t, test.count, test.act)
		})
	}
}

// TestFailoverWithFewFiles: masters that may open 1,024 files lower their limits,
// so that strangers do not use the files that a master needs.
func TestFailoverWithFewFiles(t *testing.T) {
	if os.Getenv("JINDO_LONG") == "" {
		t.Skip("JINDO_LONG is not set")
	}
	t.Setenv(runLimited, "1024")
	failoverDuring(t, 400, func(*cluster) stranger { return hold })
}

// TestTooFewFilesAreRefused: a master that cannot open the files that it needs
// ends, and names the limit.
func TestTooFewFilesAreRefused(t *testing.T) {
	t.Setenv(runLimited, "200")
	c := newCluster(t, 1)
	c.start(0)
	p := c.processes[0]
	select {
	case <-p.done:
	case <-time.After(waitTimeout):
		t.Fatal("the master runs")
	}
	c.processes[0] = nil
	if p.cmd.ProcessState.Success() || !strings.Contains(p.log.String(), "may open 200 files, and needs") {
		t.Errorf("the master ended with %s:\n%s", p.cmd.ProcessState, p.log)
	}
}

func failoverDuring(t *testing.T, count int, act func(c *cluster) stranger) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	c.mount("/data")
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	for i, m := range c.Topology.Masters {
		for _, address := range []string{m.Address(), m.RaftAddress(), c.Health(i)} {
			flood(ctx, &wait, address, count, act(c))
		}
	}
	c.eventually("a command succeeds during the flood", func() error { return c.invalidate("/data") })
	leader := c.leader()
	c.end(leader, syscall.SIGKILL)
	c.eventually("a command succeeds on the next leader", func() error { return c.invalidate("/data") })
	c.start(leader, "--formed")
	c.settled()
}

func (c *cluster) invalidate(path string) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 15*time.Second)
	defer cancel()
	_, err := c.admin.Invalidate(ctx, path)
	return err
}
