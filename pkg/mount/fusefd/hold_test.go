//go:build linux

package fusefd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// The test binary run again by another user: to ask for a lease at a socket,
// or to mount on a directory.
const (
	strangerSocket = "JINDO_TEST_STRANGER_SOCKET"
	strangerPoint  = "JINDO_TEST_STRANGER_POINT"
)

// nobody is a user without rights.
const nobody = 65534

// actAsStranger says whether this process is one.
func actAsStranger() bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch {
	case os.Getenv(strangerSocket) != "":
		lease, err := Attach(ctx, os.Getenv(strangerSocket))
		if err != nil {
			fmt.Println("refused:", err)
			return true
		}
		fmt.Println("got generation", lease.Generation)
		_ = lease.Close()
		return true
	case os.Getenv(strangerPoint) != "":
		if err := mountAsStranger(ctx, os.Getenv(strangerPoint)); err != nil {
			fmt.Println("failed:", err)
			return true
		}
		fmt.Println("mounted and unmounted")
		return true
	}
	return false
}

func mountAsStranger(ctx context.Context, point string) error {
	s, err := Open(ctx, Options{Mountpoint: point, ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer s.Close()
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Serve(serving, point+".sock") }()
	for ctx.Err() == nil {
		if lease, err := Attach(ctx, point+".sock"); err == nil {
			_ = lease.Close()
			break
		}
		time.Sleep(time.Millisecond)
	}
	err = s.Unmount(ctx)
	stop()
	if _, there, findErr := topmost(s.Mountpoint()); findErr != nil || there {
		err = errors.Join(err, findErr, errors.New("the mount is still there"))
	}
	return errors.Join(err, <-done)
}

// runAsStranger runs this test binary as nobody and answers what it printed.
func runAsStranger(t *testing.T, variable, value string) string {
	t.Helper()
	// The program must be within that user's reach.
	dir, err := os.MkdirTemp("", "jindo-stranger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "stranger")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, binary, 0o755)); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), variable+"="+value)
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("the stranger: %v: %s", err, out)
	}
	return string(out)
}

func strangerAsks(t *testing.T, socket string) string {
	t.Helper()
	if err := errors.Join(os.Chmod(socket, 0o777), os.Chmod(filepath.Dir(socket), 0o755)); err != nil {
		t.Fatal(err)
	}
	return runAsStranger(t, strangerSocket, socket)
}

func TestMountWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root here")
	}
	if _, err := fusermount(); err != nil {
		t.Skip(err)
	}
	if info, err := os.Stat(devicePath); err != nil || info.Mode().Perm()&0o006 != 0o006 {
		t.Skipf("%s is not for everybody here", devicePath)
	}
	dir, err := os.MkdirTemp("", "jindo-unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	point := filepath.Join(dir, "mnt")
	t.Cleanup(func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)
		_ = os.RemoveAll(dir)
	})
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if got := runAsStranger(t, strangerPoint, point); got != "mounted and unmounted\n" {
		t.Error(got)
	}
}

// serveNear serves at a path that every user can reach.
func serveNear(t *testing.T, s *Session) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "jindo-holder")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ctx, socket) }()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	return socket
}

func TestWhoMayServe(t *testing.T) {
	for name, c := range map[string]struct {
		allow []uint32
		want  string
	}{
		"a stranger":       {want: "refused: attach to the mount"},
		"a configured one": {allow: []uint32{nobody}, want: "got generation 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSession(t, func(o *Options) { o.ServerUIDs = c.allow })
			if got := strangerAsks(t, serveNear(t, s)); !strings.HasPrefix(got, c.want) {
				t.Errorf("it was told %q, want %q", got, c.want)
			}
		})
	}
}

func TestOneHolderASocket(t *testing.T) {
	s, other := openSession(t, nil), openSession(t, nil)
	socket, _ := serve(t, s)
	if err := other.Serve(t.Context(), socket); !errors.Is(err, ErrBusy) {
		t.Errorf("a second holder: %v, want ErrBusy", err)
	}
}

func TestSocketOfAKilledHolderIsTakenOver(t *testing.T) {
	s := openSession(t, nil)
	socket := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix(fdsock.Network, &net.UnixAddr{Name: socket, Net: fdsock.Network})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, socket) }()
	eventually(t, "the holder listens", func() bool {
		lease, err := Attach(t.Context(), socket)
		if err != nil {
			return false
		}
		_ = lease.Close()
		<-lease.Done()
		return true
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestWaitingServerGivesUp(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	first := acquireLease(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Attach(ctx, socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting behind another: %v", err)
	}
	// It must not have been given the mount behind its back.
	_ = first.Close()
	<-first.Done()
	next := acquireLease(t, socket)
	if next.Generation > 3 {
		t.Errorf("the next lease is generation %d", next.Generation)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	for name, text := range map[string]string{"noise": "noise", "another beginning": `{"version":1,"kind":"serving"}`} {
		conn, err := dial(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		m, fds, err := receive(conn)
		if err != nil || m.Kind != kindRefused || len(fds) > 0 {
			t.Errorf("%s: answered %q with %d descriptors, %v", name, m.Kind, len(fds), err)
		}
		_ = conn.Close()
	}
}

func TestCheckNotice(t *testing.T) {
	notice := func(length uint32, code int32, unique uint64, extra int) []byte {
		b := binary.NativeEndian.AppendUint32(nil, length)
		b = binary.NativeEndian.AppendUint32(b, uint32(code))
		b = binary.NativeEndian.AppendUint64(b, unique)
		return append(b, bytes.Repeat([]byte{0}, extra)...)
	}
	for name, c := range map[string]struct {
		m  []byte
		ok bool
	}{
		"a notification":  {notice(20, 3, 0, 4), true},
		"a reply":         {notice(16, 0, 8, 0), false},
		"an error":        {notice(16, -5, 0, 0), false},
		"another length":  {notice(17, 3, 0, 0), false},
		"cut short":       {notice(16, 3, 0, 0)[:15], false},
		"nothing":         {nil, false},
		"to some request": {notice(20, 3, 2, 4), false},
	} {
		if err := checkNotification(c.m); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
