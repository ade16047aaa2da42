package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/plan"
)

// waitTime limits every wait in these tests; no duration is asserted.
const waitTime = 60 * time.Second

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitTime); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting after %v until %s", waitTime, what)
		}
	}
}

// script writes a program for a component.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// specOf returns the smallest spec that has processes: workers that run a script.
// It never becomes ready, because it has no masters.
func specOf(t *testing.T, body string) Spec {
	t.Helper()
	t.Setenv(asProgram, "1")
	root, err := os.MkdirTemp("", "jl") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	worker := &plan.Component{
		Name: "hadoop-jindofs-worker", Role: plan.RoleWorker, Replicas: 2, Binary: "worker",
		Args:    []string{"--name=$(POD_NAME)", "$(JINDO_DATA)", "$(JINDO_TIER_0)", "$(JINDO_FORMED)"},
		Env:     []plan.EnvVar{{Name: "WHO", Value: "$(POD_NAME)"}},
		Ports:   []plan.Port{{Name: plan.PortRPC, Port: 18005}, {Name: plan.PortHealth, Port: 18008}},
		Volumes: []plan.Volume{{Name: "tier-0", Variable: "JINDO_TIER_0", Kind: plan.VolumeTier}},
	}
	return Spec{
		Plan: plan.Plan{Namespace: "default", Name: "hadoop", Workers: worker}, Root: root, NoMount: true,
		Secrets:  map[string]map[string]string{"hadoop": {"key": "secret"}},
		Binaries: map[string]string{"worker": script(t, body)},
	}
}

// up starts a spec and returns once its workers run.
func up(t *testing.T, spec Spec) State {
	t.Helper()
	seen := func(s State) bool {
		running := 0
		for _, c := range s.Components {
			if c.Process.PID > 0 {
				running++
			}
		}
		return running == 2 && s.Supervisor.alive()
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	_, err := Up(ctx, UpOptions{Spec: spec, Self: []string{"/proc/self/exe"}, Timeout: time.Second})
	var pending *PendingError
	if !errors.As(err, &pending) {
		t.Fatalf("error %v, want one that names what is missing", err)
	}
	var state State
	eventually(t, "two workers run", func() bool {
		state, _, err = ReadState(spec.Layout())
		return err == nil && seen(state)
	})
	return state
}

func nothingIsLeft(t *testing.T, l Layout, state State) {
	t.Helper()
	for _, id := range state.processes() {
		eventually(t, "every process has ended", func() bool { return !id.alive() })
	}
	for _, path := range []string{l.stateFile(), l.sockets(), l.credentials(), l.tls(), l.Roster()} {
		eventually(t, path+" was removed", func() bool {
			there, err := exists(path)
			return err == nil && !there
		})
	}
}

func TestUpSupervisesAndDownStops(t *testing.T) {
	spec := specOf(t, `echo "$WHO $*"; exec sleep 600`)
	l := spec.Layout()
	state := up(t, spec)

	// The arguments of the component, with variables resolved. The script writes them
	// after its process has started.
	var lines []string
	var err error
	eventually(t, "the worker has written its arguments", func() bool {
		lines, err = Tail(l.Log("hadoop-jindofs-worker-0"), 10)
		return err != nil || len(lines) > 0
	})
	want := strings.Join([]string{
		"hadoop-jindofs-worker-0 --name=hadoop-jindofs-worker-0", l.data("hadoop-jindofs-worker-0"), l.tier("hadoop-jindofs-worker-0", 0), "false", "--directory=/",
	}, " ")
	if err != nil || len(lines) == 0 || lines[0] != want {
		t.Errorf("the worker was started with %q, error %v, want %q", lines, err, want)
	}

	// A killed component is restarted as another process.
	first := state.Components[0]
	if err := first.Process.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed worker is back", func() bool {
		state, _, err = ReadState(l)
		c, _ := state.Component(first.Name)
		return err == nil && c.Process.PID > 0 && c.Process != first.Process
	})
	if c, _ := state.Component(first.Name); c.Starts < 2 || c.LastExit != "killed by SIGKILL" {
		t.Errorf("the component was started %d times, ended with %q", c.Starts, c.LastExit)
	}

	// The same spec changes nothing; another one is refused.
	other := spec
	other.Secrets = map[string]map[string]string{"hadoop": {"key": "another"}}
	if _, err := Up(t.Context(), UpOptions{Spec: other, Timeout: time.Second}); !errors.Is(err, ErrOther) {
		t.Errorf("another spec than the running one: error %v, want %v", err, ErrOther)
	}

	ran, err := Down(t.Context(), l, false)
	if err != nil || !ran {
		t.Fatalf("down: ran %v, error %v", ran, err)
	}
	nothingIsLeft(t, l, state)
	if there, err := exists(l.data("hadoop-jindofs-worker-0")); err != nil || !there {
		t.Errorf("the data was removed, error %v", err)
	}
	if ran, err := Down(t.Context(), l, false); err != nil || ran {
		t.Errorf("down again: ran %v, error %v", ran, err)
	}
	if _, err := Down(t.Context(), l, true); err != nil {
		t.Fatal(err)
	}
	if there, err := exists(l.Dir); err != nil || there {
		t.Errorf("after a purge the state directory exists: %v, error %v", there, err)
	}
	if ran, err := Down(t.Context(), l, true); err != nil || ran {
		t.Errorf("down of an unknown runtime: ran %v, error %v", ran, err)
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	spec := specOf(t, "exec sleep 600")
	state := up(t, spec)
	if err := state.Supervisor.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Down is not called: the orphan reaper cleans up.
	nothingIsLeft(t, spec.Layout(), state)
}

func TestKilledSupervisorAndReaperAreSweptByDownAndByUp(t *testing.T) {
	for name, again := range map[string]func(t *testing.T, spec Spec) State{
		"down": func(t *testing.T, spec Spec) State {
			t.Helper()
			if _, err := Down(t.Context(), spec.Layout(), false); err != nil {
				t.Fatal(err)
			}
			return State{}
		},
		"up": up,
	} {
		t.Run(name, func(t *testing.T) {
			spec := specOf(t, "exec sleep 600")
			state := up(t, spec)
			// A stopped supervisor cannot replace the reaper, which would clean up.
			if err := state.Supervisor.signal(unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			for _, id := range []ProcessID{state.Reaper, state.Supervisor} {
				if err := id.signal(unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the process has ended and released its lock", func() bool { return !id.alive() })
			}
			next := again(t, spec)
			for _, id := range state.processes() {
				eventually(t, "every process of the killed run has ended", func() bool { return !id.alive() })
			}
			if next.Supervisor.PID > 0 {
				if _, err := Down(t.Context(), spec.Layout(), false); err != nil {
					t.Fatal(err)
				}
			}
			nothingIsLeft(t, spec.Layout(), next)
		})
	}
}

func TestKilledReaperIsReplaced(t *testing.T) {
	spec := specOf(t, "exec sleep 600")
	state := up(t, spec)
	first := state.Reaper
	if err := first.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another orphan reaper runs", func() bool {
		var err error
		state, _, err = ReadState(spec.Layout())
		return err == nil && state.Reaper != first && state.Reaper.alive()
	})
	if err := state.Supervisor.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	nothingIsLeft(t, spec.Layout(), state)
}

func TestInterruptedUpStopsEverything(t *testing.T) {
	spec := specOf(t, "exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	var state State
	_, err := Up(ctx, UpOptions{
		Spec: spec, Self: []string{"/proc/self/exe"}, Timeout: waitTime,
		Progress: func(s State) {
			state = s
			if len(s.Components) == 2 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want a cancelled one", err)
	}
	nothingIsLeft(t, spec.Layout(), state)
}

func TestUpReportsWhyTheSupervisorEnded(t *testing.T) {
	spec := specOf(t, "exec sleep 600")
	spec.Plan.Workers.Args = []string{"$(NO_SUCH_VARIABLE)"}
	spec.Plan.Workers.Env = []plan.EnvVar{{Name: "X", Value: "$(NO_SUCH_VARIABLE)"}}
	_, err := Up(t.Context(), UpOptions{Spec: spec, Self: []string{"/proc/self/exe"}, Timeout: waitTime})
	if err == nil || !strings.Contains(err.Error(), "NO_SUCH_VARIABLE") {
		t.Errorf("error %v, want the supervisor's", err)
	}
	nothingIsLeft(t, spec.Layout(), State{})
}

func TestPendingErrorShowsTheSuspectsLogs(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := State{
		Components: []ComponentState{{Name: "m-0", Log: log}},
		Conditions: []Condition{{Name: "leader", Detail: "none", Suspects: []string{"m-0"}}, {Name: "fuse", Met: true}},
	}
	e := pending(state, time.Second)
	if len(e.Missing) != 1 || len(e.Logs) != 1 || strings.Join(e.Logs[0].Lines, ",") != "one,two" {
		t.Errorf("got %+v", e)
	}
	if !strings.Contains(e.Error(), "leader: none") {
		t.Errorf("error %q does not name what is missing", e)
	}
}

func TestSweepRemovesOnlyWhatTheStateNames(t *testing.T) {
	named, _ := sleeper(t)
	reused, other := sleeper(t)
	l := NewLayout(t.TempDir(), "default", "hadoop")
	if err := os.MkdirAll(l.sockets(), 0o700); err != nil {
		t.Fatal(err)
	}
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	state := exampleState()
	state.Mountpoint, state.Boot = "", boot
	state.Supervisor, state.Reaper = ProcessID{}, ProcessID{}
	state.Components = []ComponentState{
		{Name: "a", Process: named},
		{Name: "b", Process: ProcessID{PID: reused.PID, Start: reused.Start + 7}},
	}
	write := func() {
		t.Helper()
		if err := state.save(l); err != nil {
			t.Fatal(err)
		}
	}
	// Of another boot, so pid and start time are meaningless.
	state.Boot = "another"
	write()
	if err := sweep(t.Context(), l, discardLogger()); err != nil {
		t.Fatal(err)
	}
	if !named.alive() {
		t.Fatal("a process was ended by the state of another boot")
	}
	state.Boot = boot
	write()
	if err := sweep(t.Context(), l, discardLogger()); err != nil {
		t.Fatal(err)
	}
	if named.alive() {
		t.Error("the process that the state names is alive")
	}
	if !reused.alive() || other.ProcessState != nil {
		t.Error("the process that has the pid now was ended")
	}
	if there, err := exists(l.stateFile()); err != nil || there {
		t.Errorf("the state exists: %v, error %v", there, err)
	}
}

func TestLock(t *testing.T) {
	l := NewLayout(t.TempDir(), "default", "hadoop")
	first, err := tryLock(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(l); !errors.Is(err, errLocked) {
		t.Errorf("a second lock: error %v, want %v", err, errLocked)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := waitLock(ctx, l); !errors.Is(err, errLocked) {
		t.Errorf("waiting in vain: error %v", err)
	}
	// A purge removes the locked file: the next lock is of another file.
	if err := os.RemoveAll(l.Dir); err != nil {
		t.Fatal(err)
	}
	second, err := tryLock(l)
	if err != nil {
		t.Fatal(err)
	}
	first.release()
	second.release()
}

func TestFindBinaries(t *testing.T) {
	dir, path := t.TempDir(), t.TempDir()
	for _, file := range []string{filepath.Join(dir, "master"), filepath.Join(path, "jindo-worker")} {
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "fuse"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	found, err := FindBinaries(dir, []string{"master"})
	if err != nil || found["master"] != filepath.Join(dir, "master") {
		t.Errorf("found %v, error %v", found, err)
	}
	found, err = FindBinaries("", []string{"worker"})
	if err != nil || found["worker"] != filepath.Join(path, "jindo-worker") {
		t.Errorf("found %v, error %v", found, err)
	}
	// If a directory is given, only that is searched: programs on PATH may have
	// another version.
	var missing *MissingError
	if _, err := FindBinaries(dir, []string{"master", "worker", "fuse"}); !errors.As(err, &missing) || strings.Join(missing.Binaries, ",") != "worker,fuse" {
		t.Errorf("error %v, want one that names worker and fuse", err)
	}
}
