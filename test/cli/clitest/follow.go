package clitest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// Patience bounds waits of tests; nothing is asserted about it.
const Patience = time.Minute

// Paper is output that can be read while it is written. The zero value is empty.
type Paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (p *Paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// String is what is written so far.
func (p *Paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Eventually waits until something is so.
func Eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-limit.Done():
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// Follow runs a command that goes on until end, which fails the test when the
// command does not stop or answers an error.
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
		case <-time.After(Patience):
			t.Error("it does not end")
		}
	}
}
