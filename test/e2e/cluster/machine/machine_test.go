package machine

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// joinVariable makes this test binary join a group and block until it is killed.
const joinVariable = "JINDO_TEST_JOIN"

func TestMain(m *testing.M) {
	if group := os.Getenv(joinVariable); group != "" {
		if err := Join(group); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString("joined\n")
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// eventually blocks until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func TestStartTime(t *testing.T) {
	if own := StartTime(os.Getpid()); own == "" || own != StartTime(os.Getpid()) {
		t.Errorf("this process started at %q", own)
	}
	command := exec.Command("sleep", "1000")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if StartTime(command.Process.Pid) == "" {
		t.Error("a running process is not seen")
	}
	_ = command.Process.Kill()
	eventually(t, "a killed process that was not waited for to count as ended", func() bool { return StartTime(command.Process.Pid) == "" })
	_ = command.Wait()
	if StartTime(command.Process.Pid) != "" {
		t.Error("an ended process is seen")
	}
}

func TestKeeperStartsAgain(t *testing.T) {
	dir := t.TempDir()
	count := filepath.Join(dir, "count")
	keeper := &Keeper{Logs: dir, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	err := keeper.Keep(ctx, Program{Name: "short", Path: "sh", Args: []string{"-c", "echo again >> $FILE; echo printed"}, Env: []string{"FILE=" + count}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second start", func() bool {
		raw, _ := os.ReadFile(count)
		return strings.Count(string(raw), "again") >= 2
	})
	cancel()
	keeper.Wait()
	if log, err := os.ReadFile(filepath.Join(dir, "short.log")); err != nil || !strings.Contains(string(log), "printed\nprinted\n") {
		t.Errorf("log %q, %v", log, err)
	}
	if err := keeper.Keep(t.Context(), Program{Name: "none", Path: filepath.Join(dir, "none")}); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		path string
		want []string
	}{
		{dir, nil},
		{"/", nil},
		{filepath.Join(dir, "a"), []string{filepath.Join(dir, "a")}},
		{filepath.Join(dir, "a/b"), []string{filepath.Join(dir, "a"), filepath.Join(dir, "a/b")}},
	} {
		if got := missing(c.path); !reflect.DeepEqual(got, c.want) {
			t.Errorf("missing(%q) = %v, want %v", c.path, got, c.want)
		}
	}
}

// TestSweep removes a process, groups and a network namespace of a killed cluster.
func TestSweep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	owner := exec.Command("true")
	if err := owner.Run(); err != nil {
		t.Fatal(err)
	}
	id := ID(owner.Process.Pid)
	if err := MakeCgroup("/" + id + "/node1/pods"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Remove(context.Background(), id) })
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), joinVariable+"=/"+id+"/node1/pods")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("joined\n"))); err != nil {
		t.Fatal(err)
	}
	if err := NameNetwork(child.Process.Pid, id+"-node1"); err != nil {
		t.Fatal(err)
	}
	if !left()[id] {
		t.Fatal("what was left is not seen")
	}
	swept, err := Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(swept, " "), id) || left()[id] {
		t.Errorf("swept %v; left %v", swept, left())
	}
	if err := child.Wait(); err == nil {
		t.Error("the leftover process ended before the sweep")
	}
}

func TestSweepSparesOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	// A control process is identified by its first arguments.
	owner := exec.Command("sleep", "1000")
	owner.Args = []string{ControlName, ControlCommand}
	owner.Path = "/proc/self/exe"
	owner.Env = append(os.Environ(), joinVariable+"=/")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = owner.Process.Kill(), owner.Wait() }()
	id := ID(owner.Process.Pid)
	if err := MakeCgroup("/" + id); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Remove(context.Background(), id) }()
	if !controls(owner.Process.Pid) || controls(os.Getpid()) {
		t.Fatal("a control process is not distinguished from another one")
	}
	if _, err := Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !left()[id] {
		t.Error("what a running cluster uses was removed")
	}
}
