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
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Environment variables that make the test binary, run by another user, attach to
// the mount at a socket, or mount on a directory.
const (
	otherUserSocket = "JINDO_TEST_OTHER_USER_SOCKET"
	otherUserPoint  = "JINDO_TEST_OTHER_USER_POINT"
)

// unprivileged is the id of a user without privileges.
const unprivileged = 65534

// runAsOtherUser runs the part of the other user, and reports whether this process
// is that of the other user.
func runAsOtherUser() bool {
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	switch {
	case os.Getenv(otherUserSocket) != "":
		attachment, err := Attach(ctx, os.Getenv(otherUserSocket))
		if err != nil {
			fmt.Println("refused:", err)
			return true
		}
		fmt.Println("got generation", attachment.Generation)
		_ = attachment.Close()
		return true
	case os.Getenv(otherUserPoint) != "":
		if err := mountUnprivileged(ctx, os.Getenv(otherUserPoint)); err != nil {
			fmt.Println("failed:", err)
			return true
		}
		fmt.Println("mounted and unmounted")
		return true
	}
	return false
}

func mountUnprivileged(ctx context.Context, point string) error {
	s, err := Open(ctx, Options{Mountpoint: point, ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer s.Close()
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Serve(serving, point+".sock") }()
	for ctx.Err() == nil {
		if attachment, err := Attach(ctx, point+".sock"); err == nil {
			_ = attachment.Close()
			break
		}
		time.Sleep(time.Millisecond)
	}
	err = s.Unmount(ctx)
	stop()
	if _, mounted, findErr := topmost(s.Mountpoint()); findErr != nil || mounted {
		err = errors.Join(err, findErr, errors.New("the mount still exists"))
	}
	return errors.Join(err, <-done)
}

// runUnprivileged runs this test binary as the unprivileged user and returns its
// output.
func runUnprivileged(t *testing.T, variable, value string) string {
	t.Helper()
	// The user must have access to the program.
	dir, err := os.MkdirTemp("", "jindo-unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
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
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("run the test binary as another user: %v: %s", err, out)
	}
	return string(out)
}

// attachUnprivileged attaches to the mount as the unprivileged user and returns
// the output.
func attachUnprivileged(t *testing.T, socket string) string {
	t.Helper()
	if err := errors.Join(os.Chmod(socket, 0o777), os.Chmod(filepath.Dir(socket), 0o755)); err != nil {
		t.Fatal(err)
	}
	return runUnprivileged(t, otherUserSocket, socket)
}

func TestMountWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root here")
	}
	if _, err := fusermount(); err != nil {
		t.Skip(err)
	}
	if info, err := os.Stat(devicePath); err != nil || info.Mode().Perm()&0o006 != 0o006 {
		t.Skipf("%s is not accessible to all users here", devicePath)
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
	if err := os.Chown(dir, unprivileged, unprivileged); err != nil {
		t.Fatal(err)
	}
	if got := runUnprivileged(t, otherUserPoint, point); got != "mounted and unmounted\n" {
		t.Error(got)
	}
}

// servePublic serves at a path that is accessible to all users.
func servePublic(t *testing.T, s *Session) string {
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
	listens(t, socket)
	return socket
}

func TestServerUIDs(t *testing.T) {
	for name, c := range map[string]struct {
		allow []uint32
		want  string
	}{
		"other user":      {want: "refused: attach to the mount"},
		"configured user": {allow: []uint32{unprivileged}, want: "got generation 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSession(t, func(o *Options) { o.ServerUIDs = c.allow })
			if got := attachUnprivileged(t, servePublic(t, s)); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOneHolderPerSocket(t *testing.T) {
	s, other := openSession(t, nil), openSession(t, nil)
	socket, _ := serve(t, s)
	if err := other.Serve(t.Context(), socket); !errors.Is(err, ErrBusy) {
		t.Errorf("Serve of a second holder returned %v, want ErrBusy", err)
	}
}

// TestHoldersThatStartTogether checks that one of them gets the socket and keeps it.
func TestHoldersThatStartTogether(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		listeners := make(chan *net.UnixListener, 4)
		var group sync.WaitGroup
		for range cap(listeners) {
			group.Go(func() {
				l, err := listen(ctx, socket)
				if err == nil {
					listeners <- l
				} else if !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		cancel()
		if n := len(listeners); n != 1 {
			t.Fatalf("%d holders listen at one path", n)
		}
		_ = (<-listeners).Close()
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
		attachment, err := Attach(t.Context(), socket)
		if err != nil {
			return false
		}
		_ = attachment.Close()
		<-attachment.Done()
		return true
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was not removed: %v", err)
	}
}

func TestAttachTimeout(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	first := attachServer(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Attach(ctx, socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Attach to an attached mount returned %v, want DeadlineExceeded", err)
	}
	// The server that gave up must not hold the mount.
	_ = first.Close()
	<-first.Done()
	next := attachServer(t, socket)
	if next.Generation > 3 {
		t.Errorf("the next attachment has generation %d, want at most 3", next.Generation)
	}
}

func TestInvalidMessagesAreRefused(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	for name, text := range map[string]string{"not JSON": "noise", "wrong first message": `{"version":1,"kind":"serving"}`} {
		conn, err := dial(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		m, fds, err := receive(conn)
		if err != nil || m.Kind != kindRefused || len(fds) > 0 {
			t.Errorf("%s: got response %q with %d descriptors, error %v", name, m.Kind, len(fds), err)
		}
		_ = conn.Close()
	}
}

// TestSilentConnectionsAreFew: connections that send nothing, and servers that
// wait for their turn, keep neither the next server out nor the attached one.
func TestSilentConnectionsAreFew(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	flood := func() (oldest *net.UnixConn) {
		for i := range 4 * maxWaiting {
			conn, err := dial(t.Context(), socket)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if i%2 == 1 {
				_ = send(conn, message{Kind: kindAcquire})
			} else if oldest == nil {
				oldest = conn
			}
		}
		return oldest
	}
	attached := attachServer(t, socket)
	oldest := flood()
	flood()
	select {
	case <-attached.Done():
		t.Error("the attached server was detached")
	default:
	}
	_ = oldest.SetReadDeadline(time.Now().Add(waitTimeout))
	if _, _, err := receive(oldest); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest silent connection is still open: %v", err)
	}
	s.waiting.mu.Lock()
	defer s.waiting.mu.Unlock()
	if got := len(s.waiting.conns); got > maxWaiting {
		t.Errorf("%d connections wait, at most %d may", got, maxWaiting)
	}
}

func TestCheckNotification(t *testing.T) {
	notification := func(length uint32, code int32, unique uint64, extra int) []byte {
		b := binary.NativeEndian.AppendUint32(nil, length)
		b = binary.NativeEndian.AppendUint32(b, uint32(code))
		b = binary.NativeEndian.AppendUint64(b, unique)
		return append(b, bytes.Repeat([]byte{0}, extra)...)
	}
	for name, c := range map[string]struct {
		m  []byte
		ok bool
	}{
		"notification":              {notification(20, 3, 0, 4), true},
		"reply":                     {notification(16, 0, 8, 0), false},
		"error":                     {notification(16, -5, 0, 0), false},
		"wrong length":              {notification(17, 3, 0, 0), false},
		"truncated":                 {notification(16, 3, 0, 0)[:15], false},
		"empty":                     {nil, false},
		"notification to a request": {notification(20, 3, 2, 4), false},
	} {
		if err := checkNotification(c.m); (err == nil) != c.ok {
			t.Errorf("%s: got error %v, want valid %v", name, err, c.ok)
		}
	}
}
