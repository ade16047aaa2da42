package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/bench/link"
	"github.com/jindo-io/jindo/test/testbed"
)

// remoteMount is a mount of a runtime on another host than its workers: the server
// runs at the far end of a link, with no sockets of workers, and this process
// holds the mount.
type remoteMount struct {
	root    string
	command *exec.Cmd
	session *fusefd.Session
	stop    context.CancelFunc
	// served is closed when the session has ended, exited when the server has, with
	// failure.
	served, exited chan struct{}
	failure        error
}

// mountRemote mounts a runtime below dir.
func mountRemote(ctx context.Context, l *link.Link, s *testbed.Testbed, dir string) (*remoteMount, error) {
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return nil, fmt.Errorf("mount over the link: %w", err)
	}
	m := &remoteMount{root: filepath.Join(dir, "mnt", s.MountPath())}
	if err := m.open(ctx, l, s, dir); err != nil {
		m.close()
		return nil, fmt.Errorf("mount over the link: %w", err)
	}
	return m, nil
}

func (m *remoteMount) open(ctx context.Context, l *link.Link, s *testbed.Testbed, dir string) error {
	network, err := networkOf(s)
	if err != nil {
		return err
	}
	if err := l.Reach(ctx, network); err != nil {
		return err
	}
	m.session, err = fusefd.Open(ctx, fusefd.Options{Mountpoint: filepath.Join(dir, "mnt"), ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "session.sock")
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop, m.served = stop, make(chan struct{})
	go func() {
		defer close(m.served)
		_ = m.session.Serve(serving, socket) // readers see that it ends
	}()
	if err := m.serve(ctx, l, s, dir, socket); err != nil {
		return err
	}
	return m.await(ctx)
}

// networkOf returns the loopback network of a runtime's members.
func networkOf(s *testbed.Testbed) (netip.Prefix, error) {
	members, err := topology.Load(s.Layout.Roster())
	if err != nil {
		return netip.Prefix{}, err
	}
	hosts := members.Hosts()
	if len(hosts) == 0 {
		return netip.Prefix{}, errors.New("the runtime has no members")
	}
	address, err := netip.ParseAddr(hosts[0])
	if err != nil {
		return netip.Prefix{}, err
	}
	return address.Prefix(24)
}

// serve starts the server with the certificate of the runtime's own.
func (m *remoteMount) serve(ctx context.Context, l *link.Link, s *testbed.Testbed, dir, socket string) error {
	servers, err := s.Components("fuse")
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		return errors.New("the runtime has no FUSE server")
	}
	output, err := os.Create(filepath.Join(dir, "fuse.log"))
	if err != nil {
		return err
	}
	defer output.Close()
	// The context of one row must not end the server of later ones.
	command := s.Command(context.WithoutCancel(ctx), "fuse", "--name=remote", "--roster="+s.Layout.Roster(), "--tls-dir="+s.Layout.TLS(servers[0]),
		"--state-dir="+filepath.Join(dir, "state"), "--session-socket="+socket, fmt.Sprintf("--health-listen=127.0.0.1:%d", topology.HealthPort))
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.Start(command); err != nil {
		return err
	}
	m.command, m.exited = command, make(chan struct{})
	go func() {
		defer close(m.exited)
		m.failure = command.Wait()
	}()
	return nil
}

// remoteTimeout bounds the start of a mount over the link.
const remoteTimeout = 30 * time.Second

// await waits until the data set is visible.
func (m *remoteMount) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	visible := make(chan error, 1)
	go func() {
		_, err := os.ReadDir(m.root)
		visible <- err
	}()
	select {
	case err := <-visible:
		return err
	case <-m.exited:
		return fmt.Errorf("the server ended: %w", m.failure)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *remoteMount) pid() int { return m.command.Process.Pid }

// close ends the server and unmounts.
func (m *remoteMount) close() {
	if m.command != nil {
		_ = m.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.exited:
		case <-time.After(5 * time.Second):
			_ = m.command.Process.Kill()
			<-m.exited
		}
	}
	if m.session == nil {
		return
	}
	if m.stop != nil {
		m.stop()
		<-m.served
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.session.Unmount(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "unmount over the link:", err)
	}
	m.session.Close()
}
