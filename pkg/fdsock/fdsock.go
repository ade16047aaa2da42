//go:build linux

// Package fdsock creates unix sockets, checks the users of their peers, and sends
// packets with open files over them. The format of a packet is up to the caller.
package fdsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Network is a connection-oriented socket type that preserves packet
	// boundaries (SOCK_SEQPACKET).
	Network = "unixpacket"
	// MaxFiles is the largest number of files in one packet.
	MaxFiles = 8
)

// ErrTruncated reports a packet with more bytes or files than the buffers hold.
var ErrTruncated = errors.New("packet truncated")

// acceptPause is how long Accept waits after an error that may pass.
const acceptPause = 50 * time.Millisecond

// Accept returns the next connection. It returns an error only when ctx is done
// or the listener is closed: an error of the system, such as that this process
// can open no more files, must not end a server whose sockets keep mounts alive.
// report is called with each such error.
func Accept(ctx context.Context, listener *net.UnixListener, report func(error)) (*net.UnixConn, error) {
	for {
		conn, err := listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil, context.Cause(ctx)
		case err == nil:
			return conn, nil
		case errors.Is(err, net.ErrClosed):
			return nil, err
		}
		report(err)
		select {
		case <-ctx.Done():
		case <-time.After(acceptPause):
		}
	}
}

// Send sends one packet with duplicates of files. The caller keeps ownership of
// files.
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

// Receive receives one packet into buf and returns its length in bytes and the
// descriptors that came with it, which the caller must close. It returns
// ErrTruncated if the packet does not fit, and net.ErrClosed if the peer has
// closed the connection.
func Receive(conn *net.UnixConn, buf []byte) (n int, fds []int, err error) {
	control := make([]byte, unix.CmsgSpace(4*MaxFiles))
	n, oobn, flags, _, err := conn.ReadMsgUnix(buf, control)
	if err != nil {
		return 0, nil, err
	}
	fds = Descriptors(control[:oobn])
	switch {
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = ErrTruncated
	case n == 0:
		err = net.ErrClosed
	}
	if err != nil {
		Close(fds)
		return 0, nil, err
	}
	return n, fds, nil
}

// Descriptors returns the descriptors in control, a buffer of control messages
// written by the kernel.
func Descriptors(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range messages {
		// Messages of other kinds carry no descriptors.
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// Lend calls use with the descriptors of open files, which stay open during the
// call. Unlike File.Fd it does not change the files' blocking mode.
func Lend(files []*os.File, use func(fds []int) error) error { return lend(files, nil, use) }

func lend(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("get descriptor: %w", err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = lend(files[1:], append(fds, int(fd)), use) }); err != nil {
		return fmt.Errorf("get descriptor: %w", err)
	}
	return inner
}

// Files wraps descriptors in files with the given name. The files own the
// descriptors.
func Files(fds []int, name string) []*os.File {
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), name)
	}
	return files
}

// Close closes descriptors.
func Close(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// Peer returns the credentials of the process that connected, as recorded by the
// kernel.
func Peer(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("get peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, fmt.Errorf("get peer credentials: %w", err)
	}
	if inner != nil {
		return nil, fmt.Errorf("get peer credentials: %w", inner)
	}
	return cred, nil
}
