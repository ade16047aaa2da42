//go:build linux

package fusefd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// maxBatches bounds the queue of batches. A server sends one at a time.
const maxBatches = 8

// outHeaderSize is the size, in bytes, of the header of every message to the
// device (struct fuse_out_header).
const outHeaderSize = 16

// errNotification is returned for a message that is not a notification.
var errNotification = errors.New("not a notification")

// batch is a list of notifications from one server.
type batch struct {
	messages [][]byte
	from     *net.UnixConn
}

// notify queues a batch. A batch that does not fit is refused: servers that were
// killed may have left others, of which one waits in the kernel.
func (s *Session) notify(n batch) {
	select {
	case s.batches <- n:
	default:
		s.log.Warn("notifications were refused: too many wait for the kernel", "count", len(n.messages))
		_ = send(n.from, message{Kind: kindNotified, Reason: "too many notifications wait for the kernel"})
	}
}

// writeNotifications writes queued notifications to the device. A write may
// block until a server, possibly a later one, has served a request.
func (s *Session) writeNotifications(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-s.batches:
			for _, m := range n.messages {
				if ctx.Err() != nil {
					return
				}
				if err := s.writeNotification(m); err != nil {
					s.log.Debug("notify the kernel", "error", err)
				}
			}
			// The server may have detached meanwhile.
			_ = send(n.from, message{Kind: kindNotified})
		}
	}
}

// writeNotification writes one notification: a message with unique 0, and a code
// in the field that holds a reply's error. ENOENT means that the kernel has no
// such entry, and is not an error.
func (s *Session) writeNotification(m []byte) error {
	if err := checkNotification(m); err != nil {
		return err
	}
	return fdsock.Lend([]*os.File{s.fuse}, func(fds []int) error {
		_, err := unix.Write(fds[0], m)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		return fmt.Errorf("write to the device: %w", err)
	})
}

func checkNotification(m []byte) error {
	if len(m) < outHeaderSize || uint64(binary.NativeEndian.Uint32(m)) != uint64(len(m)) ||
		int32(binary.NativeEndian.Uint32(m[4:])) <= 0 || binary.NativeEndian.Uint64(m[8:]) != 0 {
		return errNotification
	}
	return nil
}
