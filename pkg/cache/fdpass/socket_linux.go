package fdpass

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

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
		return fmt.Errorf("the packet was truncated: %w", errProtocol)
	}
	return nil
}

// receive reads one packet and its descriptor, nil if there is none. A packet
// with several descriptors is an error; they are closed.
func receive(c *net.UnixConn, buf []byte) (message, *os.File, error) {
	n, fds, err := fdsock.Receive(c, buf)
	switch {
	case errors.Is(err, fdsock.ErrTruncated):
		err = fmt.Errorf("%w: %w", err, errProtocol)
	case err == nil && len(fds) > 1:
		err = fmt.Errorf("%d descriptors: %w", len(fds), errProtocol)
	}
	var m message
	if err == nil {
		m, err = decode(buf[:n])
	}
	if err != nil {
		fdsock.Close(fds)
		return message{}, nil, err
	}
	if len(fds) == 0 {
		return m, nil, nil
	}
	return m, fdsock.Files(fds, "sealed")[0], nil
}
