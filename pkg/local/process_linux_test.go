package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// sleeper starts a process that ends only by a signal. It is reaped.
func sleeper(t *testing.T) (ProcessID, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, running, err := identify(cmd.Process.Pid)
	if err != nil || !running {
		t.Fatalf("identify a running child: %v, running %v", err, running)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return id, cmd
}

func TestParseStat(t *testing.T) {
	tail := " S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 2 3"
	for name, test := range map[string]struct {
		raw   string
		start uint64
		fails bool
	}{
		"plain":                   {raw: "42 (sleep)" + tail, start: 4711},
		"a name with parentheses": {raw: "42 (a) R 1 (b)" + tail, start: 4711},
		"a name with line breaks": {raw: "42 (a\n)\n)" + tail, start: 4711},
		"no name":                 {raw: "42 sleep S 1", fails: true},
		"cut short":               {raw: "42 (sleep) S 1 1", fails: true},
		"an invalid start time":   {raw: "42 (sleep) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 x 2 3", fails: true},
		"empty":                   {fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			state, start, err := parseStat([]byte(test.raw))
			if (err != nil) != test.fails {
				t.Fatalf("error %v, want one: %v", err, test.fails)
			}
			if err == nil && (state != 'S' || start != test.start) {
				t.Errorf("got state %c, start %d, want S, %d", state, start, test.start)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (sleep) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 2 3"))
	f.Add([]byte("42 (a) b) Z"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, start, err := parseStat(raw); err != nil && start != 0 {
			t.Errorf("a start time of %d with error %v", start, err)
		}
	})
}

func TestProcessIsIdentifiedByPidAndStart(t *testing.T) {
	id, cmd := sleeper(t)
	if !id.alive() {
		t.Fatal("a process that runs is not alive")
	}
	// The same pid with another start time is another process, which must not be
	// signalled.
	for name, other := range map[string]ProcessID{
		"another start": {PID: id.PID, Start: id.Start + 1},
		"another pid":   {PID: 1, Start: id.Start},
		"zero":          {},
	} {
		if other.alive() {
			t.Errorf("%s: reported as alive", name)
		}
		if err := other.end(t.Context()); err != nil {
			t.Errorf("%s: end returned %v", name, err)
		}
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil || !id.alive() {
		t.Fatalf("the id of another process ended the process: %v", err)
	}
	if err := id.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id.alive() {
		t.Error("the process is alive after end")
	}
	if err := id.end(t.Context()); err != nil {
		t.Errorf("ending the process twice: %v", err)
	}
}

func TestEndGentlyKillsAfterTheTimeout(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; while :; do sleep 1; done`)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	id, _, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.endGently(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if id.alive() {
		t.Error("the process is alive")
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || describeExit(err) != "killed by SIGKILL" {
		t.Errorf("the process ended with %v, want SIGKILL", describeExit(err))
	}
}

func TestWaitObeysItsContext(t *testing.T) {
	id, _ := sleeper(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := id.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	if os.Getenv("JINDO_SPAWN_TEST") != "" {
		s := newSpawner()
		id, err := s.start(exec.Command("sleep", "600"))
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString(encodeID(id))
		select {}
	}
	parent := exec.Command("/proc/self/exe", "-test.run", "^TestChildrenDieWithTheirParent$")
	parent.Env = append(os.Environ(), "JINDO_SPAWN_TEST=1")
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 128)
	n, err := output.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	child := decodeID(t, string(raw[:n]))
	if !child.alive() {
		t.Fatal("the child is not running")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := child.wait(ctx); err != nil {
		_ = child.end(ctx)
		t.Errorf("the child outlived its parent: %v", err)
	}
}
