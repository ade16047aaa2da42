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

// maxNotices bounds the batches that wait. A server sends one at a time.
const maxNotices = 8

// outHeaderSize is the size of the header of everything that is written to the
// device.
const outHeaderSize = 16

// errNotice says that a server wanted something else to be written.
var errNotice = errors.New("not a notification")

// notice is a batch of notifications of one server.
type notice struct {
	messages [][]byte
	from     *net.UnixConn
}

// notify queues a batch, or drops it: what the kernel keeps runs out by itself.
func (s *Session) notify(n notice) {
	select {
	case s.notices <- n:
	default:
		s.log.Warn("notifications were dropped", "count", len(n.messages))
	}
}

// tellKernel writes notifications. A write may wait for a server to answer a
// request, also for one that is still to come.
func (s *Session) tellKernel(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-s.notices:
			for _, m := range n.messages {
				if ctx.Err() != nil {
					return
				}
				if err := s.tell(m); err != nil {
					s.log.Debug("notifying the kernel", "error", err)
				}
			}
			// The server may be gone by now.
			_ = send(n.from, message{Kind: kindNotified})
		}
	}
}

// tell writes one notification: a message to no request, with a code where a
// reply has an error. What the kernel does not know any more is no error.
func (s *Session) tell(m []byte) error {
	if err := checkNotice(m); err != nil {
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

func checkNotice(m []byte) error {
	if len(m) < outHeaderSize || uint64(binary.NativeEndian.Uint32(m)) != uint64(len(m)) ||
		int32(binary.NativeEndian.Uint32(m[4:])) <= 0 || binary.NativeEndian.Uint64(m[8:]) != 0 {
		return errNotice
	}
	return nil
}
