//go:build linux

package fusefd

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if actAsStranger() {
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds waits; nothing is asserted about it.
const patience = 30 * time.Second

// openSession mounts below a test's own directory and unmounts at its end,
// whatever happens.
func openSession(t *testing.T, change func(*Options)) *Session {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root here")
	}
	opts := Options{Mountpoint: filepath.Join(t.TempDir(), "mnt"), ReadOnly: true, AllowOther: true, Slots: 4, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Unmount(ctx); err != nil {
			t.Error(err)
		}
		s.Close()
		if _, there, err := topmost(s.point); err != nil || there {
			t.Errorf("the mount is still there (%v)", err)
		}
	})
	return s
}

// serve runs the holder's side until the test ends.
func serve(t *testing.T, s *Session) (socket string, result <-chan error) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), strings.Repeat("long", 30), "session.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		done <- s.Serve(ctx, socket)
	}()
	t.Cleanup(func() { cancel(); <-finished })
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	return socket, done
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func acquireLease(t *testing.T, socket string) *Attachment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return patiently(t, func() (*Attachment, error) { return Attach(ctx, socket) })
}

// patiently asks again where a socket has its name and nobody listens yet.
func patiently(t *testing.T, acquire func() (*Attachment, error)) *Attachment {
	t.Helper()
	lease, err := acquire()
	for end := time.Now().Add(patience); errors.Is(err, unix.ECONNREFUSED) && time.Now().Before(end); lease, err = acquire() {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Close(); <-lease.Done() })
	return lease
}

func TestMountSourceNamesTheDevice(t *testing.T) {
	s := openSession(t, nil)
	info, there, err := topmost(s.point)
	if err != nil || !there {
		t.Fatalf("mount is there: %v, %v", there, err)
	}
	if !strings.Contains(info.source, "/dev/fuse") || info.fstype != "fuse.jindo" {
		t.Errorf("mounted %q of type %q", info.source, info.fstype)
	}
}

func TestSourceIsChecked(t *testing.T) {
	for _, source := range []string{"other:/dev/fuse", "jindo:nothing"} {
		if _, err := Open(t.Context(), Options{Mountpoint: t.TempDir(), Source: source}); err == nil {
			t.Errorf("source %q was accepted", source)
		}
	}
}

func TestLeaseGoesToOneServerAfterAnother(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	first := acquireLease(t, socket)
	if first.Generation != 1 || first.Mountpoint != s.Mountpoint() {
		t.Errorf("lease %d of %s", first.Generation, first.Mountpoint)
	}
	if err := first.Serving(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the holder knows that it is served", s.Serving)

	second := make(chan *Attachment, 1)
	go func() {
		lease, err := Attach(context.Background(), socket)
		if err != nil {
			t.Error(err)
		}
		second <- lease
	}()
	select {
	case <-second:
		t.Fatal("two servers have the mount at once")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	lease := <-second
	if lease == nil {
		t.FailNow()
	}
	defer func() { _ = lease.Close(); <-lease.Done() }()
	if lease.Generation != 2 {
		t.Errorf("the second lease is generation %d", lease.Generation)
	}
}

func TestUnmountEndsHungReaders(t *testing.T) {
	s := openSession(t, nil)
	socket, result := serve(t, s)
	lease := acquireLease(t, socket)
	hung := make(chan error, 1)
	go func() {
		_, err := os.ReadDir(s.point)
		hung <- err
	}()
	// The reader's request is taken from the kernel and never answered, which
	// is the worst case: its owner cannot even be killed.
	slot := lease.Slots.Slot(0)
	if opcode := takeRequest(t, lease, slot); opcode != 26 {
		t.Fatalf("the connection begins with %d, not INIT", opcode)
	}
	answerInit(t, lease, slot)
	takeRequest(t, lease, slot)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Unmount(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-hung; err == nil {
		t.Error("the reader got an answer from nobody")
	}
	if err := <-result; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	<-lease.Done()
}

// takeRequest reads one request into a slot and answers its opcode.
func takeRequest(t *testing.T, lease *Attachment, slot *Slot) uint32 {
	t.Helper()
	raw, err := lease.Device.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	slot.Prepare()
	if err := raw.Read(func(fd uintptr) bool {
		_, err := unix.Read(int(fd), slot.Buffer())
		return !errors.Is(err, unix.EAGAIN)
	}); err != nil {
		t.Fatal(err)
	}
	request := slot.Request()
	if request == nil {
		t.Fatal("the request is not live in its slot")
	}
	return binary.NativeEndian.Uint32(request[4:])
}

// answerInit opens the connection with the least that the kernel takes.
func answerInit(t *testing.T, lease *Attachment, slot *Slot) {
	t.Helper()
	reply := make([]byte, outHeaderSize+64)
	binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
	copy(reply[8:], slot.Request()[8:16])
	for at, v := range map[int]uint32{0: 7, 4: 31, 20: 1 << 17} { // major, minor, largest write
		binary.NativeEndian.PutUint32(reply[outHeaderSize+at:], v)
	}
	if _, err := lease.Device.Write(reply); err != nil {
		t.Fatal(err)
	}
	slot.Clear()
}

func TestNobodyServesForTooLong(t *testing.T) {
	s := openSession(t, func(o *Options) { o.ServerTimeout = 200 * time.Millisecond })
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		_, _ = os.ReadDir(s.point)
	}()
	_, result := serve(t, s)
	if err := <-result; !errors.Is(err, ErrAborted) || !errors.Is(s.Err(), ErrAborted) {
		t.Errorf("serving ended with %v, the session with %v", err, s.Err())
	}
	// Whether it got ENOTCONN or came too late, it must not hang.
	<-hung
}

func TestServerKeepsPatienceAway(t *testing.T) {
	s := openSession(t, func(o *Options) { o.ServerTimeout = 50 * time.Millisecond })
	socket, result := serve(t, s)
	acquireLease(t, socket)
	select {
	case err := <-result:
		t.Errorf("serving ended under a server: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
}

func TestCleanStale(t *testing.T) {
	t.Run("dead", func(t *testing.T) {
		s := openSession(t, nil)
		s.Close() // as when the holder is killed
		if err := CleanStale(s.point); err != nil {
			t.Fatal(err)
		}
		if _, there, _ := topmost(s.point); there {
			t.Error("the dead mount is still there")
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		if err := CleanStale(filepath.Join(t.TempDir(), "none", "mnt")); err != nil {
			t.Error(err)
		}
	})
	t.Run("not ours", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("mounting needs root here")
		}
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		if err := CleanStale(dir); !errors.Is(err, ErrBusy) {
			t.Errorf("cleaning somebody else's mount: %v", err)
		}
		if _, there, _ := topmost(dir); !there {
			t.Error("somebody else's mount is gone")
		}
	})
	t.Run("silent", func(t *testing.T) {
		s := openSession(t, nil)
		if err := CleanStale(s.point); err != nil {
			t.Fatal(err)
		}
		if _, there, _ := topmost(s.point); there {
			t.Error("the silent mount is still there")
		}
	})
}
