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
	if runAsOtherUser() {
		return
	}
	goleak.VerifyTestMain(m)
}

// waitTimeout bounds every wait. No test depends on its value.
const waitTimeout = 30 * time.Second

// openSession mounts in a temporary directory, and unmounts at the end of the
// test.
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
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		if err := s.Unmount(ctx); err != nil {
			t.Error(err)
		}
		s.Close()
		if _, mounted, err := topmost(s.point); err != nil || mounted {
			t.Errorf("the mount still exists, error %v", err)
		}
	})
	return s
}

// serve serves the session until the test ends.
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
	listens(t, socket)
	return socket, done
}

// listens waits until a holder listens. A socket exists before it accepts connections.
func listens(t *testing.T, socket string) {
	t.Helper()
	eventually(t, "the holder listens", func() bool {
		conn, err := dial(t.Context(), socket)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

func eventually(t *testing.T, description string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(waitTimeout); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting until %s", description)
		}
	}
}

func attachServer(t *testing.T, socket string) *Attachment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	return attachWithRetry(t, func() (*Attachment, error) { return Attach(ctx, socket) })
}

// attachWithRetry retries while the socket has its name but does not listen yet.
func attachWithRetry(t *testing.T, acquire func() (*Attachment, error)) *Attachment {
	t.Helper()
	attachment, err := acquire()
	for end := time.Now().Add(waitTimeout); errors.Is(err, unix.ECONNREFUSED) && time.Now().Before(end); attachment, err = acquire() {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = attachment.Close(); <-attachment.Done() })
	return attachment
}

func TestMountSourceNamesTheDevice(t *testing.T) {
	s := openSession(t, nil)
	info, mounted, err := topmost(s.point)
	if err != nil || !mounted {
		t.Fatalf("topmost returned %v, error %v; want a mount", mounted, err)
	}
	if !strings.Contains(info.source, "/dev/fuse") || info.fstype != "fuse.jindo" {
		t.Errorf("the mount has source %q and type %q", info.source, info.fstype)
	}
}

func TestSourceIsChecked(t *testing.T) {
	for _, source := range []string{"other:/dev/fuse", "jindo:nothing"} {
		if _, err := Open(t.Context(), Options{Mountpoint: t.TempDir(), Source: source}); err == nil {
			t.Errorf("no error for source %q", source)
		}
	}
}

func TestOneServerAtATime(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	first := attachServer(t, socket)
	if first.Generation != 1 || first.Mountpoint != s.Mountpoint() {
		t.Errorf("the first attachment has generation %d and mount point %s", first.Generation, first.Mountpoint)
	}
	if err := first.Serving(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the holder reports that the mount is served", s.Serving)

	second := make(chan *Attachment, 1)
	go func() {
		attachment, err := Attach(context.Background(), socket)
		if err != nil {
			t.Error(err)
		}
		second <- attachment
	}()
	select {
	case <-second:
		t.Fatal("two servers are attached at the same time")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	attachment := <-second
	if attachment == nil {
		t.FailNow()
	}
	defer func() { _ = attachment.Close(); <-attachment.Done() }()
	if attachment.Generation != 2 {
		t.Errorf("the second attachment has generation %d, want 2", attachment.Generation)
	}
}

func TestUnmountEndsHungReaders(t *testing.T) {
	s := openSession(t, nil)
	socket, result := serve(t, s)
	attachment := attachServer(t, socket)
	hung := make(chan error, 1)
	go func() {
		_, err := os.ReadDir(s.point)
		hung <- err
	}()
	// The server reads the request and never replies. This is the worst case: the
	// reader cannot even be killed.
	slot := attachment.Slots.Slot(0)
	if opcode := takeRequest(t, attachment, slot); opcode != 26 {
		t.Fatalf("the first request has opcode %d, want INIT", opcode)
	}
	replyInit(t, attachment, slot)
	takeRequest(t, attachment, slot)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := s.Unmount(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-hung; err == nil {
		t.Error("the reader got no error from a mount without a server")
	}
	if err := <-result; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	<-attachment.Done()
}

// takeRequest reads one request into a slot and returns its opcode.
func takeRequest(t *testing.T, attachment *Attachment, slot *Slot) uint32 {
	t.Helper()
	raw, err := attachment.Device.SyscallConn()
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

// replyInit replies to FUSE_INIT with the minimum that the kernel accepts.
func replyInit(t *testing.T, attachment *Attachment, slot *Slot) {
	t.Helper()
	reply := make([]byte, outHeaderSize+64)
	binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
	copy(reply[8:], slot.Request()[8:16])
	for at, v := range map[int]uint32{0: 7, 4: 31, 20: 1 << 17} { // major, minor, max_write
		binary.NativeEndian.PutUint32(reply[outHeaderSize+at:], v)
	}
	if _, err := attachment.Device.Write(reply); err != nil {
		t.Fatal(err)
	}
	slot.Clear()
}

func TestMountWithoutServerIsAborted(t *testing.T) {
	s := openSession(t, func(o *Options) { o.ServerTimeout = 200 * time.Millisecond })
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		_, _ = os.ReadDir(s.point)
	}()
	if err := s.Serve(t.Context(), filepath.Join(t.TempDir(), "s")); !errors.Is(err, ErrAborted) || !errors.Is(s.Err(), ErrAborted) {
		t.Errorf("Serve returned %v, Err %v; want ErrAborted", err, s.Err())
	}
	// The reader may get ENOTCONN or no error, but must not hang.
	<-hung
}

// TestUnmountIsNotAnAbort checks that a connection that ends because the mount is being
// removed is not reported as aborted.
func TestUnmountIsNotAnAbort(t *testing.T) {
	s := openSession(t, nil)
	s.interval = 20 * time.Millisecond
	socket, result := serve(t, s)
	attachServer(t, socket)
	s.unmounting.Store(true)
	if err := s.abortConnection(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil || s.Err() != nil {
		t.Errorf("Serve returned %v, Err %v; want nil", err, s.Err())
	}
}

func TestAttachedServerPreventsTheTimeout(t *testing.T) {
	s := openSession(t, nil)
	socket, _ := serve(t, s)
	attachment := attachServer(t, socket)
	late := func() time.Time { return time.Now().Add(2 * s.opts.ServerTimeout) }
	if s.serverTimedOut(late()) {
		t.Error("the mount is aborted while a server is attached")
	}
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the time without a server counts", func() bool { return s.serverTimedOut(late()) && !s.serverTimedOut(time.Now()) })
}

// TestRefusedNotificationsFail checks that a server learns that the holder has refused
// its notifications, because those of servers that were killed wait for the kernel.
func TestRefusedNotificationsFail(t *testing.T) {
	s := openSession(t, nil)
	s.batches = nil // as full as a queue can be
	socket, _ := serve(t, s)
	attachment := attachServer(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for range 2 {
		if err := attachment.Notify(ctx, [][]byte{{1}}); err == nil || ctx.Err() != nil {
			t.Errorf("notifications that are not written: %v", err)
		}
	}
}

func TestCleanStale(t *testing.T) {
	t.Run("dead", func(t *testing.T) {
		s := openSession(t, nil)
		s.Close() // like a killed holder
		if err := CleanStale(s.point); err != nil {
			t.Fatal(err)
		}
		if _, mounted, _ := topmost(s.point); mounted {
			t.Error("the dead mount still exists")
		}
	})
	t.Run("not mounted", func(t *testing.T) {
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
			t.Errorf("CleanStale of another file system returned %v, want ErrBusy", err)
		}
		if _, mounted, _ := topmost(dir); !mounted {
			t.Error("CleanStale removed the mount of another file system")
		}
	})
	t.Run("without a server", func(t *testing.T) {
		s := openSession(t, nil)
		if err := CleanStale(s.point); err != nil {
			t.Fatal(err)
		}
		if _, mounted, _ := topmost(s.point); mounted {
			t.Error("the mount without a server still exists")
		}
	})
}
