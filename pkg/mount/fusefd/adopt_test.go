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

// duplicate a session's files, as somebody does who keeps them.
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

// abandon a session as a process that is killed does.
func abandon(t *testing.T, s *Session) (device, slots *os.File) {
	t.Helper()
	device, slots = duplicate(t, s)
	s.Close()
	return device, slots
}

func acquireLasting(t *testing.T, socket string) *Attachment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return patiently(t, func() (*Attachment, error) { return AttachLasting(ctx, socket) })
}

// lendAt serves a session at a socket of choice until stop.
func lendAt(t *testing.T, s *Session, socket string) (stop func()) {
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

func TestAdoptedMountGoesOn(t *testing.T) {
	s := openSession(t, nil)
	socket := t.TempDir() + "/s"
	stop := lendAt(t, s, socket)
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	lease := acquireLasting(t, socket)
	if err := lease.Serving(); err != nil {
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
		t.Errorf("generation %d, device %s, alive %v", next.Generation(), next.Device(), next.Alive())
	}
	if next.Serving() || next.Idle() == 0 {
		t.Error("it is served before anybody came")
	}
	stopNext := lendAt(t, next, socket)
	eventually(t, "the server has come back by itself", next.Serving)
	if next.Generation() != 1 || next.Idle() != 0 {
		t.Errorf("generation %d, idle %v", next.Generation(), next.Idle())
	}
	select {
	case <-lease.Done():
		t.Error("the lease ended")
	default:
	}
	if err := lease.Close(); err != nil {
		t.Error(err)
	}
	if second := acquireLasting(t, socket); second.Generation != 2 {
		t.Errorf("the next lease is %d", second.Generation)
	}
	stopNext()
}

func TestAdoptRefusesWhatIsNoMount(t *testing.T) {
	for _, c := range []struct {
		name string
		want error
		make func(t *testing.T) (Options, *os.File, *os.File)
	}{
		{"the mount is gone", ErrNotMounted, func(t *testing.T) (Options, *os.File, *os.File) {
			s := openSession(t, nil)
			device, slots := duplicate(t, s)
			if err := s.Unmount(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s.opts, device, slots
		}},
		{"the connection is over", ErrAborted, func(t *testing.T) (Options, *os.File, *os.File) {
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
		{"the slots are none", ErrSlots, func(t *testing.T) (Options, *os.File, *os.File) {
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
				t.Errorf("answered %v", err)
			}
			if err == nil {
				session.Close()
			}
		})
	}
}

func TestLeaseOfAnotherMountIsRefused(t *testing.T) {
	s := openSession(t, nil)
	socket := t.TempDir() + "/s"
	stop := lendAt(t, s, socket)
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	lease := acquireLasting(t, socket)
	stop()
	// The holder lost everything and mounts anew, with the same generation.
	other := openSession(t, nil)
	lendAt(t, other, socket)
	select {
	case <-lease.Done():
	case <-time.After(patience):
		t.Fatal("the lease of a mount that is gone goes on")
	}
	if fresh := acquireLasting(t, socket); fresh.Generation != 1 || fresh.Mountpoint != other.Mountpoint() {
		t.Errorf("lease %d of %s", fresh.Generation, fresh.Mountpoint)
	}
}

func TestServerBringsBackWhatTheHolderLost(t *testing.T) {
	s := openSession(t, nil)
	socket := t.TempDir() + "/s"
	stop := lendAt(t, s, socket)
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	lease := acquireLasting(t, socket)
	if err := lease.Serving(); err != nil {
		t.Fatal(err)
	}
	stop()
	s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if there, err := Mounted(s.point); err != nil || !there {
		t.Fatalf("mounted: %v, %v", there, err)
	}
	found, err := Recover(ctx, s.opts, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	stopFound := lendAt(t, found, socket)
	eventually(t, "the server has come back", found.Serving)
	if found.Generation() != 1 {
		t.Errorf("generation %d", found.Generation())
	}
	stopFound()
}

func TestRecoverTrustsNoServer(t *testing.T) {
	s := openSession(t, nil)
	device, slots := s.Files()
	loose, err := unix.MemfdCreate("loose", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unsealed := os.NewFile(uintptr(loose), "loose")
	defer func() { _ = unsealed.Close() }()
	for _, c := range []struct {
		name  string
		hello message
		files []*os.File
	}{
		{"it acquires", message{Kind: kindAcquire}, nil},
		{"it brings nothing", message{Kind: kindResume}, nil},
		{"it brings one file", message{Kind: kindResume}, []*os.File{device}},
		{"its device is none", message{Kind: kindResume}, []*os.File{slots, slots}},
		{"its slots can be cut", message{Kind: kindResume}, []*os.File{device, unsealed}},
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
			eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
			var conn *net.UnixConn
			eventually(t, "it listens", func() bool {
				var err error
				conn, err = dial(ctx, socket)
				return err == nil
			})
			if err := send(conn, c.hello, c.files...); err != nil {
				t.Fatal(err)
			}
			if _, _, err := receive(conn); err == nil { // it hangs up
				t.Error("it was answered")
			}
			_ = conn.Close()
			cancel()
			if err := <-result; err == nil || !strings.Contains(err.Error(), "wait for the server") {
				t.Errorf("recovered: %v", err)
			}
		})
	}
}
