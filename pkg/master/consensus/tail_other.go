//go:build !linux

package consensus

import "os"

// openSynced opens a file whose writes are durable when they return.
func openSynced(path string, _ bool) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_SYNC, 0)
}

func alignedSlot() []byte { return make([]byte, tailSlot) }
