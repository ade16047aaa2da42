//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
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
	received, err := firstDescriptors(ctx, listener, opts)
	if err != nil {
		return nil, fmt.Errorf("wait for the server of %s: %w", opts.Mountpoint, err)
	}
	return received, nil
}

// recovery is the search for the server of a mount.
type recovery struct {
	opts  Options
	log   *slog.Logger
	conns waiting
	// found has the session of the first server that sends usable descriptors.
	// taken is locked from then on.
	found chan *Session
	taken sync.Mutex
}

// firstDescriptors returns the session of the first server that sends usable
// descriptors. Connections are handled at the same time, so that one that sends
// nothing does not delay the server.
func firstDescriptors(ctx context.Context, listener *net.UnixListener, opts Options) (*Session, error) {
	r := &recovery{opts: opts, log: opts.Logger, found: make(chan *Session, 1)}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var group sync.WaitGroup
	group.Go(func() { cancel(r.accept(ctx, listener, &group)) })
	var session *Session
	select {
	case session = <-r.found:
	case <-ctx.Done():
	}
	cancel(nil)
	_ = listener.Close()
	group.Wait()
	if session == nil && len(r.found) > 0 {
		session = <-r.found
	}
	if session == nil {
		return nil, context.Cause(ctx)
	}
	return session, nil
}

func (r *recovery) accept(ctx context.Context, listener *net.UnixListener, group *sync.WaitGroup) error {
	for {
		conn, err := fdsock.Accept(ctx, listener, func(err error) { r.log.Warn("cannot accept a server", "error", err) })
		if err != nil {
			return err
		}
		r.conns.add(conn)
		group.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer func() { stop(); r.conns.remove(conn); _ = conn.Close() }()
			session, err := recoverFrom(conn, r.opts, &r.taken)
			switch {
			case err == nil:
				r.found <- session
			case ctx.Err() == nil:
				r.log.Warn("a server sent no usable descriptors", "mount", r.opts.Mountpoint, "error", err)
			}
		})
	}
}

// recoverFrom returns the session of the descriptors that a server sends. It
// succeeds at most once for one mutex: taken remains locked then.
func recoverFrom(conn *net.UnixConn, opts Options, taken *sync.Mutex) (*Session, error) {
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
	if !taken.TryLock() {
		fdsock.Close(fds)
		return nil, errors.New("another server sent its descriptors first")
	}
	device, slots := os.NewFile(uintptr(fds[0]), devicePath), os.NewFile(uintptr(fds[1]), "slots")
	session, err := Adopt(opts, device, slots)
	if err != nil {
		taken.Unlock()
	}
	return session, err
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
