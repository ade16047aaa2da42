//go:build linux

// Package fdsock sends packets with open files over unix sockets. What a packet
// says, and who may say it, is its callers' to know.
package fdsock

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// Network keeps packets apart and reports the end of the other side.
	Network = "unixpacket"
	// MaxFiles bounds what one packet carries.
	MaxFiles = 8
)

// ErrCut says that a packet had more bytes or files than there was room for.
var ErrCut = errors.New("the packet was cut short")

// Send one packet with files, which stay the caller's.
func Send(conn *net.UnixConn, data []byte, files ...*os.File) error {
	return Lend(files, func(fds []int) error {
		var control []byte
		if len(fds) > 0 {
			control = unix.UnixRights(fds...)
		}
		_, _, err := conn.WriteMsgUnix(data, control, nil)
		return err
	})
}

// Receive one packet into buf, which answers its length and the descriptors
// that came with it; they are the caller's to close. ErrCut when it did not fit,
// net.ErrClosed when the other side is gone.
func Receive(conn *net.UnixConn, buf []byte) (n int, fds []int, err error) {
	control := make([]byte, unix.CmsgSpace(4*MaxFiles))
	n, oobn, flags, _, err := conn.ReadMsgUnix(buf, control)
	if err != nil {
		return 0, nil, err
	}
	fds = Descriptors(control[:oobn])
	switch {
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = ErrCut
	case n == 0:
		err = net.ErrClosed
	}
	if err != nil {
		Close(fds)
		return 0, nil, err
	}
	return n, fds, nil
}

// Descriptors in a control message, which the kernel wrote.
func Descriptors(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range messages {
		// Another kind of message carries none.
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// Lend the numbers of open files without changing their mode, as File.Fd might.
func Lend(files []*os.File, use func(fds []int) error) error { return lend(files, nil, use) }

func lend(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("lending a descriptor: %w", err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = lend(files[1:], append(fds, int(fd)), use) }); err != nil {
		return fmt.Errorf("lending a descriptor: %w", err)
	}
	return inner
}

// Files of descriptors, under one name. Closing them closes those.
func Files(fds []int, name string) []*os.File {
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), name)
	}
	return files
}

// Close descriptors that nobody wants.
func Close(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// Peer is who the kernel says connected.
func Peer(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("asking for the peer: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, fmt.Errorf("asking for the peer: %w", err)
	}
	if inner != nil {
		return nil, fmt.Errorf("asking for the peer: %w", inner)
	}
	return cred, nil
}
