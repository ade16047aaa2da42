package fdpass

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// dial connects to a socket of packets.
func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unixpacket", path)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil //nolint:forcetypeassert // The network is unixpacket.
}

// peerUser asks the kernel who is at the other end.
func peerUser(c *net.UnixConn) (user, group uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, 0, err
	}
	if failed != nil {
		return 0, 0, failed
	}
	return cred.Uid, cred.Gid, nil
}

// send writes one packet, with a descriptor unless fd is negative.
func send(c *net.UnixConn, m message, fd int) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	n, oobn, err := c.WriteMsgUnix(b, oob, nil)
	if err != nil {
		return err
	}
	if n != len(b) || oobn != len(oob) {
		return fmt.Errorf("a packet was cut: %w", errProtocol)
	}
	return nil
}

// receive reads one packet and the descriptor that came with it, nil for none.
// A packet with more than that is refused and its descriptors are closed.
func receive(c *net.UnixConn, buf []byte) (message, *os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return message{}, nil, err
	}
	files, err := rights(oob[:oobn])
	switch {
	case err != nil:
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = fmt.Errorf("a packet was cut: %w", errProtocol)
	case len(files) > 1:
		err = fmt.Errorf("%d descriptors: %w", len(files), errProtocol)
	case n == 0:
		err = net.ErrClosed // the other side is gone
	}
	var m message
	if err == nil {
		m, err = decode(buf[:n])
	}
	if err != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return message{}, nil, err
	}
	if len(files) == 0 {
		return m, nil, nil
	}
	return m, files[0], nil
}

// rights takes the descriptors out of a control message.
func rights(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("reading a control message: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // another kind, which carries no descriptor
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "sealed"))
		}
	}
	return files, nil
}
