//go:build linux

package fusefd

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cacheFile creates a file in a directory of a cache.
func cacheFile(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, "blocks-v1", "ab", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("bytes"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFlags(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// initPassthrough completes FUSE_INIT with passthrough enabled.
func initPassthrough(t *testing.T, attachment *Attachment) {
	t.Helper()
	slot := attachment.Slots.Slot(0)
	takeRequest(t, attachment, slot)
	reply := make([]byte, outHeaderSize+64)
	binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
	copy(reply[8:16], slot.Request()[8:16])
	body := reply[outHeaderSize:]
	binary.NativeEndian.PutUint32(body, 7)
	binary.NativeEndian.PutUint32(body[4:], 40)
	binary.NativeEndian.PutUint32(body[8:], 128<<10)
	binary.NativeEndian.PutUint32(body[12:], 1<<30) // FUSE_INIT_EXT
	binary.NativeEndian.PutUint32(body[20:], 4<<10) // max_write
	binary.NativeEndian.PutUint32(body[32:], 1<<5)  // FUSE_PASSTHROUGH, bit 37
	binary.NativeEndian.PutUint32(body[36:], 1)     // max_stack_depth
	if _, err := unix.Write(int(attachment.Device.Fd()), reply); err != nil {
		t.Fatal(err)
	}
	slot.Clear()
}

// brokerMount is a mount whose holder registers files of a cache.
func brokerMount(t *testing.T, cache string, change func(*Options)) (s *Session, socket string) {
	t.Helper()
	s = openSession(t, func(o *Options) {
		o.AcceptBacking = CacheFiles(func() []string { return []string{"/nonexistent", cache} })
		if change != nil {
			change(o)
		}
	})
	socket, _ = serve(t, s)
	return s, socket
}

func register(t *testing.T, a *Attachment, node uint64, f *os.File) (uint32, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	return a.Register(ctx, node, f)
}

// serveCache serves a mount whose holder registers the file of a cache that has the
// returned path, until stop is called or the test ends.
func serveCache(t *testing.T) (s *Session, socket, path string, stop func()) {
	t.Helper()
	cache := t.TempDir()
	s = openSession(t, func(o *Options) { o.AcceptBacking = CacheFiles(func() []string { return []string{cache} }) })
	socket = t.TempDir() + "/s"
	stop = serveAt(t, s, socket)
	listens(t, socket)
	return s, socket, cacheFile(t, cache, "a.data"), stop
}

// TestRegistrationsOutliveServersAndHolders checks that registrations are returned
// to a successor and to another holder, and end when a server ends them.
func TestRegistrationsOutliveServersAndHolders(t *testing.T) {
	s, socket, path, stop := serveCache(t)
	first := attachLasting(t, socket)
	initPassthrough(t, first)
	a, err := register(t, first, 7, openFlags(t, path, os.O_RDONLY))
	if err != nil {
		t.Skipf("this kernel registers no backings: %v", err)
	}
	b, err := register(t, first, 8, openFlags(t, path, os.O_RDONLY))
	if err != nil || a == b {
		t.Fatalf("registered %d and %d, error %v", a, b, err)
	}
	stop()
	// The end of a registration must not be lost while no holder is there.
	first.Unregister(a)
	device, slots := abandon(t, s)
	next, err := Adopt(s.opts, device, slots)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	serveAt(t, next, socket)
	eventually(t, "the next holder has ended the registration", func() bool { return next.broker.count() == 1 })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := attachLasting(t, socket)
	list := second.Slots.Backings()
	if len(list) != 1 || list[0].ID != b || list[0].Node != 8 {
		t.Fatalf("the successor finds %+v, want id %d of node 8", list, b)
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || list[0].Inode != stat.Ino || list[0].Device != stat.Dev {
		t.Errorf("the registration is of inode %d of device %d, want %d of %d", list[0].Inode, list[0].Device, stat.Ino, stat.Dev)
	}
	second.Unregister(b, b, 12345)
	eventually(t, "all registrations have ended", func() bool { return next.broker.count() == 0 && len(second.Slots.Backings()) == 0 })
}

// TestNextHolderSettlesRegistrations checks that a registration ends whose end, or
// whose result, was lost with a holder, and that no other does.
func TestNextHolderSettlesRegistrations(t *testing.T) {
	s, socket, path, stop := serveCache(t)
	server := attachLasting(t, socket)
	initPassthrough(t, server)
	var ids []uint32
	for node := range uint64(2) {
		id, err := register(t, server, node, openFlags(t, path, os.O_RDONLY))
		if err != nil {
			t.Skipf("this kernel registers no backings: %v", err)
		}
		ids = append(ids, id)
	}
	// The holder receives a request and ends before it sends the result.
	if _, err := s.broker.register(registration{node: 7, file: openFlags(t, path, os.O_RDONLY)}); err != nil {
		t.Fatal(err)
	}
	stop()
	// The message that ends the first is lost.
	server.registrar.mu.Lock()
	delete(server.registrar.used, ids[0])
	server.registrar.mu.Unlock()
	device, slots := abandon(t, s)
	next, err := Adopt(s.opts, device, slots)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	serveAt(t, next, socket)
	eventually(t, "the next holder has ended two registrations", func() bool { return next.broker.count() == 1 })
	id, err := register(t, server, 9, openFlags(t, path, os.O_RDONLY))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range server.Slots.Backings() {
		if b.ID != ids[1] && b.ID != id {
			t.Errorf("registration %d of node %d is left, want %d and %d only", b.ID, b.Node, ids[1], id)
		}
	}
}

// TestHostileRegistrations checks that the holder refuses everything that is not a
// file of the cache, open for reading only, and stays usable.
func TestHostileRegistrations(t *testing.T) {
	cache, elsewhere := t.TempDir(), t.TempDir()
	path := cacheFile(t, cache, "a.data")
	outside := cacheFile(t, elsewhere, "a.data")
	linked := cacheFile(t, cache, "linked.data")
	removed := cacheFile(t, cache, "removed.data")
	gone := openFlags(t, removed, os.O_RDONLY)
	deep := filepath.Join(cache, "1", "2", "3", "4")
	if err := errors.Join(os.Remove(removed), os.Link(linked, filepath.Join(elsewhere, "link")),
		os.MkdirAll(deep, 0o700), os.WriteFile(filepath.Join(deep, "f"), nil, 0o600),
		os.Symlink(elsewhere, filepath.Join(cache, "link"))); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	s, socket := brokerMount(t, cache, nil)
	attachment := attachServer(t, socket)
	initPassthrough(t, attachment)
	if _, err := register(t, attachment, 1, openFlags(t, path, os.O_RDONLY)); err != nil {
		t.Skipf("this kernel registers no backings: %v", err)
	}
	for name, f := range map[string]*os.File{
		"writable":                   openFlags(t, path, os.O_RDWR),
		"write only":                 openFlags(t, path, os.O_WRONLY),
		"path only":                  openFlags(t, path, unix.O_PATH),
		"path of an unreadable file": openFlags(t, "/etc/shadow", unix.O_PATH),
		"directory":                  openFlags(t, cache, os.O_RDONLY),
		"pipe":                       r,
		"device":                     openFlags(t, "/dev/null", os.O_RDONLY),
		"process file":               openFlags(t, "/proc/self/maps", os.O_RDONLY),
		"same name in another place": openFlags(t, outside, os.O_RDONLY),
		"through a symlink":          openFlags(t, filepath.Join(cache, "link", "blocks-v1", "ab", "a.data"), os.O_RDONLY),
		"with another name":          openFlags(t, linked, os.O_RDONLY),
		"removed":                    gone,
		"too deep":                   openFlags(t, filepath.Join(deep, "f"), os.O_RDONLY),
		"the slots of the mount":     attachment.Slots.file,
		"the device of the mount":    attachment.Device,
	} {
		var refused *RegisterError
		if id, err := register(t, attachment, 2, f); !errors.As(err, &refused) || refused.Code != RegisterRefused {
			t.Errorf("%s: id %d, error %v", name, id, err)
		}
	}
	for _, m := range []message{{Kind: kindRegister, Request: 77}, {Kind: kindUnregister, Backings: []uint32{0, 99, 1 << 31}}, {Kind: "new"}} {
		if err := send(attachment.conn, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(attachment.conn, message{Kind: kindRegister}, openFlags(t, path, 0), openFlags(t, path, 0)); err != nil {
		t.Fatal(err)
	}
	if id, err := register(t, attachment, 3, openFlags(t, path, os.O_RDONLY)); err != nil || s.broker.count() != 2 {
		t.Errorf("afterwards: id %d, error %v, %d registrations", id, err, s.broker.count())
	}
}

// TestRegistrationsAreBounded checks the bound of the registrations, and that a
// flood of messages opens no descriptors in the holder that it keeps.
func TestRegistrationsAreBounded(t *testing.T) {
	cache := t.TempDir()
	path := cacheFile(t, cache, "a.data")
	s, socket := brokerMount(t, cache, func(o *Options) { o.MaxBackings = 3 })
	attachment := attachServer(t, socket)
	initPassthrough(t, attachment)
	f := openFlags(t, path, os.O_RDONLY)
	if _, err := register(t, attachment, 1, f); err != nil {
		t.Skipf("this kernel registers no backings: %v", err)
	}
	for range 500 {
		if err := send(attachment.conn, message{Kind: kindRegister, Request: 1 << 40}, f, f, f); err != nil {
			t.Fatal(err)
		}
		if err := send(attachment.conn, message{Kind: kindRegister, Request: 1 << 41}, openFlags(t, os.DevNull, 0)); err != nil {
			t.Fatal(err)
		}
	}
	last := uint32(0)
	eventually(t, "the bound is reached", func() bool {
		id, err := register(t, attachment, 1, f)
		if err == nil {
			last = id
		}
		return codeOf(err) == RegisterLimit
	})
	if s.broker.count() != 3 {
		t.Errorf("%d files are registered, want 3", s.broker.count())
	}
	attachment.Unregister(last)
	eventually(t, "a registration is possible again", func() bool { _, err := register(t, attachment, 1, f); return err == nil })
	eventually(t, "the holder has closed the descriptors", func() bool {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		received := 0
		for _, e := range entries {
			if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, cache) {
				received++
			}
		}
		return received == 1
	})
}

// TestBrokerIsNotOffered checks the mounts without a broker.
func TestBrokerIsNotOffered(t *testing.T) {
	cache := t.TempDir()
	path := cacheFile(t, cache, "a.data")
	for name, change := range map[string]func(*Options){
		"no policy": func(o *Options) { o.AcceptBacking = nil },
		"writable":  func(o *Options) { o.ReadOnly = false },
	} {
		t.Run(name, func(t *testing.T) {
			_, socket := brokerMount(t, cache, change)
			attachment := attachServer(t, socket)
			initPassthrough(t, attachment)
			if attachment.RegistersBackings() {
				t.Error("the holder offers to register backings")
			}
			attachment.registrar.offer([]string{featureBackings}) // A server that tries nevertheless.
			if id, err := register(t, attachment, 1, openFlags(t, path, os.O_RDONLY)); codeOf(err) != RegisterRefused {
				t.Errorf("id %d, error %v", id, err)
			}
		})
	}
}

// TestRegisterWithoutHolder checks that a registration fails soon when the holder is
// away, and when it does not respond.
func TestRegisterWithoutHolder(t *testing.T) {
	cache := t.TempDir()
	path := cacheFile(t, cache, "a.data")
	hanging := make(chan struct{})
	s, socket := brokerMount(t, cache, func(o *Options) {
		o.AcceptBacking = func(BackingFile) error { <-hanging; return nil }
	})
	attachment := attachServer(t, socket)
	initPassthrough(t, attachment)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := openFlags(t, path, os.O_RDONLY)
	if _, err := attachment.Register(ctx, 1, f); codeOf(err) != RegisterAway {
		t.Errorf("a holder that hangs: %v", err)
	}
	// Its registration is not used any more when it completes.
	close(hanging)
	if _, err := register(t, attachment, 2, f); err != nil {
		t.Skipf("this kernel registers no backings: %v", err)
	}
	eventually(t, "the late registration has ended", func() bool { return s.broker.count() == 1 })
	_ = attachment.conn.Close()
	if _, err := register(t, attachment, 3, f); codeOf(err) != RegisterAway {
		t.Errorf("a holder that is away: %v", err)
	}
}
