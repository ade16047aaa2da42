//go:build linux

package fdsock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns two connected sockets.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	address := &net.UnixAddr{Net: Network, Name: filepath.Join(t.TempDir(), "s")}
	listener, err := net.ListenUnix(Network, address)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = net.DialUnix(Network, nil, address); err != nil {
		t.Fatal(err)
	}
	if b, err = listener.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = listener.Close(), a.Close(), b.Close() })
	return a, b
}

func file(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPacketsKeepTheirFiles(t *testing.T) {
	a, b := pair(t)
	for _, contents := range [][]string{{}, {"one"}, {"one", "two", "three"}} {
		var files []*os.File
		for _, c := range contents {
			files = append(files, file(t, c))
		}
		if err := Send(a, []byte("hello"), files...); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, fds, err := Receive(b, buf)
		if err != nil || string(buf[:n]) != "hello" || len(fds) != len(contents) {
			t.Fatalf("%q with %d descriptors, %v", buf[:n], len(fds), err)
		}
		for i, f := range Files(fds, "got") {
			got, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
			if err != nil || string(got) != contents[i] {
				t.Errorf("file %d has %q, %v", i, got, err)
			}
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor is not close-on-exec: flags %x, %v", flags, err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A packet that does not fit is rejected and leaks no descriptor.
func TestTruncatedPacketIsRejected(t *testing.T) {
	a, b := pair(t)
	f := file(t, "x")
	before := openDescriptors(t)
	for name, send := range map[string]func() error{
		"too long":       func() error { return Send(a, bytes.Repeat([]byte("x"), 200), f) },
		"too many files": func() error { return Send(a, []byte("x"), f, f, f, f, f, f, f, f, f, f) },
	} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
		if n, fds, err := Receive(b, make([]byte, 100)); !errors.Is(err, ErrTruncated) || n != 0 || fds != nil {
			t.Errorf("%s: %d bytes, descriptors %v, %v", name, n, fds, err)
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors are open, want %d", after, before)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Receive(b, make([]byte, 100)); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		t.Errorf("receive after close: %v", err)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestPeer(t *testing.T) {
	_, b := pair(t)
	peer, err := Peer(b)
	if err != nil || int(peer.Uid) != os.Geteuid() || int(peer.Pid) != os.Getpid() {
		t.Errorf("peer %+v, %v", peer, err)
	}
}
