package clitest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// Timeout bounds the waits of tests; no test asserts it.
const Timeout = time.Minute

// Buffer is a bytes.Buffer that is safe for concurrent use. The zero value is
// empty.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written until now.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Eventually blocks until condition returns true; what names it in the failure.
func Eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// Follow runs a command until end is called. end fails the test if the command
// does not stop or returns an error.
func Follow(t *testing.T, cmd *cobra.Command, args ...string) (end func()) {
	t.Helper()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	return func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(Timeout):
			t.Error("the command does not stop when its context is cancelled")
		}
	}
}
