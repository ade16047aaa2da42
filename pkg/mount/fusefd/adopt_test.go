//go:build linux

package fusefd

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// duplicate returns duplicates of a session's files, as a descriptor store keeps
// them.
func duplicate(t *testing.T, s *Session) (device, slots *os.File) {
	t.Helper()
	device, slots = s.Files()
	var copies []*os.File
	err := fdsock.Lend([]*os.File{device, slots}, func(fds []int) error {
		for _, fd := range fds {
			n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return err
			}
			copies = append(copies, os.NewFile(uintptr(n), "copy"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return copies[0], copies[1]
}

// abandon closes a session like a killed process does, and returns duplicates of
// its files.
func abandon(t *testing.T, s *Session) (device, slots *os.File) {
	t.Helper()
	device, slots = duplicate(t, s)
	s.Close()
	return device, slots
}

func attachLasting(t *testing.T, socket string) *Attachment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	return attachWithRetry(t, func() (*Attachment, error) { return AttachLasting(ctx, socket) })
}

// serveAt serves a session at the given socket until stop is called or the test
// ends.
func serveAt(t *testing.T, s *Session, socket string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(ctx, socket)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func TestAdoptedMountKeepsItsServer(t *testing.T) {
	s := openSession(t, nil)
	socket := t.TempDir() + "/s"
	stop := serveAt(t, s, socket)
	listens(t, socket)
	attachment := attachLasting(t, socket)
	if err := attachment.Serving(); err != nil {
		t.Fatal(err)
	}
	session := s.slots.Session()
	stop()
	device, slots := abandon(t, s)
	next, err := Adopt(s.opts, device, slots)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if next.Generation() != 1 || next.slots.Session() != session || next.Device() != s.Device() || !next.Alive() {
		t.Errorf("the adopted session has generation %d, device %s, alive %v", next.Generation(), next.Device(), next.Alive())
	}
	if next.Serving() || next.Idle() == 0 {
		t.Error("the adopted session is served before a server has attached")
	}
	stopNext := serveAt(t, next, socket)
	eventually(t, "the server has reconnected", next.Serving)
	if next.Generation() != 1 || next.Idle() != 0 {
		t.Errorf("after the reconnect: generation %d, idle %v", next.Generation(), next.Idle())
	}
	select {
	case <-attachment.Done():
		t.Error("the attachment ended")
	default:
	}
	if err := attachment.Close(); err != nil {
		t.Error(err)
	}
	if second := attachLasting(t, socket); second.Generation != 2 {
		t.Errorf("the next attachment has generation %d, want 2", second.Generation)
	}
	stopNext()
}

func TestAdoptRejectsInvalidMounts(t *testing.T) {
	for _, c := range []struct {
		name string
		want error
		make func(t *testing.T) (Options, *os.File, *os.File)
	}{
		{"unmounted", ErrNotMounted, func(t *testing.T) (Options, *os.File, *os.File) {
			s := openSession(t, nil)
			device, slots := duplicate(t, s)
			if err := s.Unmount(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s.opts, device, slots
		}},
		{"aborted connection", ErrAborted, func(t *testing.T) (Options, *os.File, *os.File) {
			s := openSession(t, nil)
			device, slots := duplicate(t, s)
			pinned, err := unix.Open(s.point, unix.O_PATH, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Close(pinned) })
			if err := s.Abort(); err != nil {
				t.Fatal(err)
			}
			return s.opts, device, slots
		}},
		{"another file as slots", ErrSlots, func(t *testing.T) (Options, *os.File, *os.File) {
			s := openSession(t, nil)
			device, slots := duplicate(t, s)
			_ = slots.Close()
			fd, err := unix.MemfdCreate("other", unix.MFD_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			return s.opts, device, os.NewFile(uintptr(fd), "other")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			session, err := Adopt(c.make(t))
			if !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if err == nil {
				session.Close()
			}
		})
	}
}

func TestAttachmentOfAnotherMountIsRefused(t *testing.T) {
	s := openSession(t, nil)
	socket := t.TempDir() + "/s"
	stop := serveAt(t, s, socket)
	listens(t, socket)
	attachment := attachLasting(t, socket)
	stop()
	// A holder without the old files creates a new mount of the same generation.
	other := openSession(t, nil)
	serveAt(t, other, socket)
	select {
	case <-attachment.Done():
	case <-time.After(waitTimeout):
		t.Fatal("the attachment to the old mount did not end")
	}
	if fresh := attachLasting(t, socket); fresh.Generation != 1 || fresh.Mountpoint != other.Mountpoint() {
		t.Errorf("the new attachment has generation %d and mount point %s", fresh.Generation, fresh.Mountpoint)
	}
}

func TestRecoverFromTheServer(t *testing.T) {
	s := openSession(t, nil)
	socket := t.TempDir() + "/s"
	stop := serveAt(t, s, socket)
	listens(t, socket)
	attachment := attachLasting(t, socket)
	if err := attachment.Serving(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := attachment.AwaitHolder(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	s.Close()
	ended, end := context.WithCancel(ctx)
	end()
	eventually(t, "the server has no holder", func() bool { return attachment.AwaitHolder(ended) != nil })
	held := make(chan error, 1)
	go func() { held <- attachment.AwaitHolder(ctx) }()
	if mounted, err := Mounted(s.point); err != nil || !mounted {
		t.Fatalf("Mounted returned %v, error %v", mounted, err)
	}
	// Connections that send nothing do not delay the server.
	silent := make(chan struct{})
	go func() {
		defer close(silent)
		for count := 0; count < 3 && ctx.Err() == nil; time.Sleep(time.Millisecond) {
			if conn, err := dial(ctx, socket); err == nil {
				defer conn.Close()
				count++
			}
		}
		<-ctx.Done()
	}()
	defer func() { cancel(); <-silent }()
	recovered, err := Recover(ctx, s.opts, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Close()
	stopRecovered := serveAt(t, recovered, socket)
	eventually(t, "the server has reconnected", recovered.Serving)
	if err := <-held; err != nil {
		t.Error(err)
	}
	if recovered.Generation() != 1 {
		t.Errorf("the recovered session has generation %d, want 1", recovered.Generation())
	}
	stopRecovered()
}

func TestRecoverRejectsInvalidFiles(t *testing.T) {
	s := openSession(t, nil)
	device, slots := s.Files()
	fd, err := unix.MemfdCreate("unsealed", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unsealed := os.NewFile(uintptr(fd), "unsealed")
	defer func() { _ = unsealed.Close() }()
	for _, c := range []struct {
		name  string
		hello message
		files []*os.File
	}{
		{"acquire", message{Kind: kindAcquire}, nil},
		{"no file", message{Kind: kindResume}, nil},
		{"one file", message{Kind: kindResume}, []*os.File{device}},
		{"another file as device", message{Kind: kindResume}, []*os.File{slots, slots}},
		{"slots that can be truncated", message{Kind: kindResume}, []*os.File{device, unsealed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket := t.TempDir() + "/s"
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				session, err := Recover(ctx, s.opts, socket)
				if err == nil {
					session.Close()
				}
				result <- err
			}()
			listens(t, socket)
			var conn *net.UnixConn
			eventually(t, "Recover listens", func() bool {
				var err error
				conn, err = dial(ctx, socket)
				return err == nil
			})
			if err := send(conn, c.hello, c.files...); err != nil {
				t.Fatal(err)
			}
			if _, _, err := receive(conn); err == nil {
				t.Error("Recover sent a response, want a closed connection")
			}
			_ = conn.Close()
			cancel()
			if err := <-result; err == nil || !strings.Contains(err.Error(), "wait for the server") {
				t.Errorf("Recover returned error %v, want it to wait for the server", err)
			}
		})
	}
}
