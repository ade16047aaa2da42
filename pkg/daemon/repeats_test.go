package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// repeatsFixture is a logger whose clock a test sets.
type repeatsFixture struct {
	*slog.Logger
	out *bytes.Buffer
	now time.Time
}

func newRepeatsFixture() *repeatsFixture {
	f := &repeatsFixture{out: &bytes.Buffer{}, now: time.Unix(1_700_000_000, 0)}
	handler := newRepeats(slog.NewTextHandler(f.out, &slog.HandlerOptions{Level: slog.LevelDebug}), defaultRepeatLimits)
	handler.shared.now = func() time.Time { return f.now }
	f.Logger = slog.New(handler).With("component", "m-0")
	return f
}

func (f *repeatsFixture) lines() int { return strings.Count(f.out.String(), "\n") }

// TestAnUnreachablePeer: an hour of errors, ten a second, each with other
// numbers, costs a few lines a minute, and every omission is counted.
func TestAnUnreachablePeer(t *testing.T) {
	f := newRepeatsFixture()
	const total = 10 * 3600
	for i := range total {
		f.now = f.now.Add(100 * time.Millisecond)
		f.Error("raft: failed to heartbeat to", "peer", "m-1", "backoff time", i, "error", fmt.Errorf("dial: attempt %d", i))
	}
	if got := f.lines(); got > 2*60 {
		t.Errorf("%d lines in an hour", got)
	}
	f.now = f.now.Add(time.Hour)
	f.Info("another message")
	if got := f.counted(t); got != total {
		t.Errorf("%d records are written or counted, want %d", got, total)
	}
}

// counted returns the number of records, except the last, that the output has or
// counts.
func (f *repeatsFixture) counted(t *testing.T) int {
	t.Helper()
	sum := -1
	for line := range strings.Lines(f.out.String()) {
		var omitted int
		if _, after, ok := strings.Cut(line, "omitted="); ok {
			if _, err := fmt.Sscan(after, &omitted); err != nil {
				t.Fatal(err)
			}
		}
		sum += omitted
		if strings.Contains(line, "error=") || strings.Contains(line, "another message") {
			sum++
		}
	}
	return sum
}

// TestStrangersDoNotFillTheLog: each has an address of its own, and the memory
// of what was logged is bounded, too.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	f := newRepeatsFixture()
	for i := range 100_000 {
		f.Warn("rejected a connection", "port", "raft", "remote", fmt.Sprintf("10.%d.%d.%d:%d", i>>16, i>>8&255, i&255, i%60000), "error", "EOF")
	}
	if got := f.lines(); got > defaultRepeatLimits.problems.message {
		t.Errorf("%d lines", got)
	}
	// Other messages are written nevertheless.
	before := f.lines()
	f.Error("the disk is full")
	if f.lines() != before+1 {
		t.Error("another message was omitted")
	}
	handler, _ := f.Handler().(*repeats)
	if kinds := len(handler.shared.kinds); kinds > defaultRepeatLimits.kinds {
		t.Errorf("%d kinds are tracked", kinds)
	}
}

// TestPortsOfOnePeerAreOnePeer: the port of a connection differs each time.
func TestPortsOfOnePeerAreOnePeer(t *testing.T) {
	f := newRepeatsFixture()
	for i := range 50 {
		f.Warn("rejected a connection", "remote", fmt.Sprintf("10.0.0.1:%d", 1000+i))
	}
	if got := f.lines(); got != defaultRepeatLimits.problems.peer {
		t.Errorf("%d lines", got)
	}
	f.Warn("rejected a connection", "remote", "10.0.0.2:1000")
	if got := f.lines(); got != defaultRepeatLimits.problems.peer+1 {
		t.Errorf("%d lines after a message about another peer", got)
	}
}

func TestRareMessagesAreWritten(t *testing.T) {
	f := newRepeatsFixture()
	for range 100 {
		f.now = f.now.Add(2 * time.Minute)
		f.Warn("cannot count a mount", "mount", "m1", "error", errors.New("timeout"))
	}
	for range 1000 {
		f.Debug("not bounded")
	}
	if got := f.lines(); got != 1100 {
		t.Errorf("%d lines, want 1100", got)
	}
	if strings.Contains(f.out.String(), "omitted") {
		t.Error("nothing was omitted, and the log states a number")
	}
}

// TestAnotherErrorIsWritten: one error of a message is repeated all the time, and
// another one occurs between.
func TestAnotherErrorIsWritten(t *testing.T) {
	f := newRepeatsFixture()
	for i := range 600 {
		f.now = f.now.Add(time.Second)
		f.Error("cannot replicate", "peer", "m-1", "error", fmt.Errorf("dial: attempt %d", i))
		if i%60 == 50 {
			f.Error("cannot replicate", "error", errors.New("the disk is full"), "peer", "m-1")
		}
	}
	if got := strings.Count(f.out.String(), "the disk is full"); got < 9 {
		t.Errorf("the other error is written %d times in 10 intervals", got)
	}
	if got := f.lines(); got > 60 {
		t.Errorf("%d lines in 10 intervals", got)
	}
	for i := range 1000 {
		f.Error("cannot replicate", "peer", "m-1", "error", fmt.Errorf("error %s", strings.Repeat("x", i)))
	}
	if got := f.lines(); got > 60+maxErrors {
		t.Errorf("%d lines", got)
	}
}
