//go:build linux

package fusefd

import (
	"net"
	"slices"
	"sync"
)

// maxWaiting bounds the connections to the socket of a mount without that of the
// attached server: those that have not sent their first message, and servers that
// wait for their turn. The processes that may connect may be those of a pod, and
// the holder holds the mounts of all pods of a node.
const maxWaiting = 32

// waiting holds the connections that wait, the oldest first. The zero value has
// none. It is safe for concurrent use.
type waiting struct {
	mu    sync.Mutex
	conns []*net.UnixConn
}

// add adds a connection, and closes the oldest beyond maxWaiting.
func (w *waiting) add(conn *net.UnixConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, conn)
	if len(w.conns) > maxWaiting {
		_ = w.conns[0].Close()
		w.conns = slices.Delete(w.conns, 0, 1)
	}
}

// remove removes a connection, which remains open.
func (w *waiting) remove(conn *net.UnixConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.conns, conn); i >= 0 {
		w.conns = slices.Delete(w.conns, i, i+1)
	}
}
