//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Dead reports whether the mount at a mount point has lost its connection. A
// mount that does not respond within two seconds counts as alive.
func Dead(mountpoint string) bool {
	reply := make(chan error, 1)
	go func() {
		var stat unix.Statfs_t
		reply <- unix.Statfs(mountpoint, &stat)
	}()
	select {
	case err := <-reply:
		return errors.Is(err, unix.ENOTCONN)
	case <-time.After(probeTime):
		return false
	}
}

// Recover creates a session for a mount whose files no holder has any more: it
// waits until a server that used AttachLasting sends them to the socket, or the
// context ends. The server resumes its attachment with the session's Serve.
func Recover(ctx context.Context, opts Options, socketPath string) (*Session, error) {
	listener, err := listen(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer func() { stop(); _ = listener.Close(); _ = os.Remove(socketPath) }()
	if err := allowServers(socketPath, opts.ServerUIDs); err != nil {
		return nil, err
	}
	for {
		conn, err := listener.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil, fmt.Errorf("wait for the server of %s: %w", opts.Mountpoint, context.Cause(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("wait for the server of %s: %w", opts.Mountpoint, err)
		}
		session, err := recoverFrom(conn, opts)
		_ = conn.Close()
		if err == nil {
			return session, nil
		}
		if opts.Logger != nil {
			opts.Logger.Warn("a server sent no usable descriptors", "mount", opts.Mountpoint, "error", err)
		}
	}
}

func recoverFrom(conn *net.UnixConn, opts Options) (*Session, error) {
	m, fds, err := handshakePeer(conn, opts.ServerUIDs)
	if err != nil {
		return nil, err
	}
	if m.Kind != kindResume || len(fds) != 2 {
		fdsock.Close(fds)
		return nil, fmt.Errorf("unexpected message %q with %d descriptors", m.Kind, len(fds))
	}
	if err := checkDescriptors(fds[0], fds[1]); err != nil {
		fdsock.Close(fds)
		return nil, err
	}
	device, slots := os.NewFile(uintptr(fds[0]), devicePath), os.NewFile(uintptr(fds[1]), "slots")
	return Adopt(opts, device, slots)
}

// fuseDevice is the device number of /dev/fuse.
const fuseDevice = 10<<8 | 229

// checkDescriptors checks descriptors from a server, which is trusted with its
// own mount only: truncating slots that are not sealed would crash the holder.
func checkDescriptors(device, slots int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(device, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFCHR || stat.Rdev != fuseDevice {
		return fmt.Errorf("the first descriptor is not %s", devicePath)
	}
	seals, err := unix.FcntlInt(uintptr(slots), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return fmt.Errorf("%w: its size is not sealed", ErrSlots)
	}
	return nil
}
