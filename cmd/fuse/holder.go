//go:build linux

package main

import (
	"context"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// holderSettle is the time after which a holder that is terminated at the same time as
// this server is gone.
const holderSettle = time.Second

// awaitHolder returns when this server may end: when another process holds the mount,
// after the holder timeout, or when the context ends. While the pod of the node plugin
// is replaced, with the descriptor store in it, the FUSE servers alone hold the
// descriptors, and a mount ends with the last one: its readers would get ENOTCONN.
func (m *mount) awaitHolder(ctx context.Context, attachment *fusefd.Attachment) {
	if m.options.holderTimeout <= 0 {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, m.options.holderTimeout)
	defer cancel()
	select {
	case <-time.After(min(holderSettle, m.options.holderTimeout)):
	case <-attachment.Done():
		return
	case <-ctx.Done():
		return
	}
	if attachment.Held() {
		return
	}
	m.log.Warn("this server is terminated and alone holds the mount: it serves on until the node plugin runs", "timeout", m.options.holderTimeout)
	if err := attachment.AwaitHolder(ctx); err != nil && ctx.Err() != nil {
		m.log.Error("no other process holds the mount, which ends with this server", "waited", time.Since(began).Round(time.Millisecond), "error", err)
	}
}
