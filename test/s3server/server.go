package s3server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Config configures a Server.
type Config struct {
	// Binary is the path that Find returned.
	Binary string
	// Dir holds a directory for each bucket. Its file system must support
	// extended attributes.
	Dir string
	// Buckets to create in Dir, with names of at least 3 letters.
	Buckets []string
	// AccessKeyID and AccessKeySecret of clients.
	AccessKeyID     string
	AccessKeySecret string
	// Listen is an address; empty chooses one of the loopback network.
	Listen string
}

// Server is a running versitygw.
type Server struct {
	// Endpoint is the server's URL.
	Endpoint string

	command *exec.Cmd
	output  tail
	exited  chan struct{}
}

// Start starts a server and waits until it responds. The server ends with this
// process at the latest.
func Start(ctx context.Context, c Config) (*Server, error) {
	for _, bucket := range c.Buckets {
		if err := os.MkdirAll(filepath.Join(c.Dir, bucket), 0o755); err != nil {
			return nil, err
		}
	}
	const tries = 5 // another process may take the free address first
	var err error
	for range tries {
		var s *Server
		if s, err = start(ctx, c); err == nil || c.Listen != "" {
			return s, err
		}
	}
	return nil, err
}

func start(ctx context.Context, c Config) (*Server, error) {
	listen := c.Listen
	if listen == "" {
		var err error
		if listen, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	s := &Server{Endpoint: "http://" + listen, exited: make(chan struct{})}
	s.command = exec.Command(c.Binary, "--port", listen, "--quiet", "--keep-alive", "posix", c.Dir)
	s.command.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+c.AccessKeyID, "ROOT_SECRET_KEY="+c.AccessKeySecret)
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Binary, err)
	}
	go func() {
		_ = s.command.Wait()
		close(s.exited)
	}()
	if err := s.ready(ctx, listen); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// freeAddress returns an address that no other process is likely to take before the
// server listens there: a server of another process, started at the same time, would
// be taken for this one.
func freeAddress() (string, error) {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *Server) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("versitygw ended: %s", s.output.text())
		case <-ctx.Done():
			return fmt.Errorf("versitygw does not respond: %w: %s", errors.Join(ctx.Err(), err), s.output.text())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server and waits for it.
func (s *Server) Stop() {
	_ = s.command.Process.Kill()
	<-s.exited
}

// tail holds the first output, for error messages.
type tail struct {
	mu   sync.Mutex
	kept bytes.Buffer
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept.Len() < 8<<10 {
		t.kept.Write(p)
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept.String()
}
