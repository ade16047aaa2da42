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

// maxBatches bounds the batches that wait. A server sends one at a time.
const maxBatches = 8

// outHeaderSize is the size of the header of everything that is written to the
// device.
const outHeaderSize = 16

// errNotification says that a server wanted something else to be written.
var errNotification = errors.New("not a notification")

// batch is a batch of notifications of one server.
type batch struct {
	messages [][]byte
	from     *net.UnixConn
}

// notify queues a batch, or drops it: what the kernel keeps runs out by itself.
func (s *Session) notify(n batch) {
	select {
	case s.batches <- n:
	default:
		s.log.Warn("notifications were dropped", "count", len(n.messages))
	}
}

// writeNotifications writes notifications. A write may wait for a server to answer a
// request, also for one that is still to come.
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
					s.log.Debug("notifying the kernel", "error", err)
				}
			}
			// The server may be gone by now.
			_ = send(n.from, message{Kind: kindNotified})
		}
	}
}

// writeNotification writes one notification: a message to no request, with a code where a
// reply has an error. What the kernel does not know any more is no error.
func (s *Session) writeNotification(m []byte) error {
	if err := checkNotification(m); err != nil {
		return err
	}
	return fdsock.Lend([]*os.File{s.fuse}, func(fds []int) error {
		_, err := unix.Write(fds[0], m)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		return fmt.Errorf("writing to the device: %w", err)
	})
}

func checkNotification(m []byte) error {
	if len(m) < outHeaderSize || uint64(binary.NativeEndian.Uint32(m)) != uint64(len(m)) ||
		int32(binary.NativeEndian.Uint32(m[4:])) <= 0 || binary.NativeEndian.Uint64(m[8:]) != 0 {
		return errNotification
	}
	return nil
}
