//go:build linux

package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// lockedBuffer is a buffer for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestTerminatedServerAwaitsAHolder terminates a server whose holder has ended, with
// all descriptors but the server's own. It must not end before the next holder has
// them.
func TestTerminatedServerAwaitsAHolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	options := fusefd.Options{Mountpoint: filepath.Join(t.TempDir(), "mnt"), ReadOnly: true}
	if err := os.Mkdir(options.Mountpoint, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	hold := func(session *fusefd.Session) (stop func()) {
		serving, stopServing := context.WithCancel(ctx)
		served := make(chan error, 1)
		go func() { served <- session.Serve(serving, socket) }()
		return func() {
			stopServing()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
	session, err := fusefd.Open(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	stop := hold(session)
	var logs lockedBuffer
	m := &mount{log: slog.New(slog.NewTextHandler(&logs, nil))}
	m.options.sessionSocket, m.options.holderTimeout = socket, time.Minute
	attachment, err := m.attach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m.awaitHolder(ctx, attachment)
	if logs.String() != "" {
		t.Fatalf("a server with a holder waited: %s", &logs)
	}

	stop()
	session.Close()
	var recovering, ended atomic.Bool
	early := make(chan bool, 1)
	go func() {
		m.awaitHolder(ctx, attachment)
		early <- !recovering.Load()
		ended.Store(true)
	}()
	for !strings.Contains(logs.String(), "alone holds the mount") && !ended.Load() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	recovering.Store(true)
	session, err = fusefd.Recover(ctx, options, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stop = hold(session)
	if <-early {
		t.Error("the server ended before another process held the mount")
	}
	if err := attachment.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if err := session.Unmount(ctx); err != nil {
		t.Error(err)
	}
}
