//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// upWith starts the runtime with a number of masters, or changes it.
func (m *machine) upWith(masters int) string {
	m.t.Helper()
	dataset, runtime := m.manifests(true)
	raw, err := os.ReadFile(runtime)
	if err != nil {
		m.t.Fatal(err)
	}
	edited := bytes.Replace(raw, []byte("master:\n    replicas: 3"), fmt.Appendf(nil, "master:\n    replicas: %d", masters), 1)
	if err := os.WriteFile(runtime, edited, 0o600); err != nil {
		m.t.Fatal(err)
	}
	return m.must("kubectl-jindo", "local", "up", "-f", dataset, "-f", runtime, "--mountpoint", m.mount)
}

// readOn reads and checks a file until the returned function is called, which returns
// the number of reads.
func (m *machine) readOn() (stop func() int) {
	ctx, cancel := context.WithCancel(m.t.Context())
	reads := 0
	var wait sync.WaitGroup
	wait.Go(func() {
		want := strings.Repeat("bravo", 1<<18)
		for ctx.Err() == nil {
			raw, err := os.ReadFile(filepath.Join(m.mount, "hadoop/dir/b.bin"))
			if err != nil || string(raw) != want {
				m.t.Errorf("read %d: %d bytes, error %v", reads, len(raw), err)
				return
			}
			reads++
		}
	})
	return func() int { cancel(); wait.Wait(); return reads }
}

// masterPIDs returns the processes of the masters, by name.
func (m *machine) masterPIDs() map[string]int {
	m.t.Helper()
	_, _, components := m.processes()
	pids := map[string]int{}
	for _, c := range components {
		if c.Role == "master" {
			pids[c.Name] = c.Process.PID
		}
	}
	return pids
}

// TestLocalNumberOfMastersChanges: an edit of the number of masters is carried out while
// files are read, also across a killed supervisor, and while nothing runs.
func TestLocalNumberOfMastersChanges(t *testing.T) {
	m := newMachine(t)
	m.upWith(3)
	m.must("kubectl-jindo", "raft", "transfer-leader", "--local", "--to", "hadoop-jindofs-master-2")
	before := m.masterPIDs()
	stop := m.readOn()
	if got := m.upWith(1); !strings.Contains(got, "1 of 1 masters vote") {
		t.Errorf("up printed %s", got)
	}
	if peers := m.must("kubectl-jindo", "raft", "list-peers", "--local"); !strings.Contains(peers, "master-0") || strings.Contains(peers, "master-1") || strings.Contains(peers, "master-2") {
		t.Errorf("members:\n%s", peers)
	}
	if after := m.masterPIDs(); len(after) != 1 || after["hadoop-jindofs-master-0"] != before["hadoop-jindofs-master-0"] {
		t.Errorf("masters %v, before %v", after, before)
	}
	for _, name := range []string{"hadoop-jindofs-master-1", "hadoop-jindofs-master-2"} {
		if err := syscall.Kill(before[name], 0); err == nil {
			t.Errorf("%s still runs", name)
		}
	}
	if got := m.upWith(3); !strings.Contains(got, "3 of 3 masters vote") {
		t.Errorf("up printed %s", got)
	}
	if reads := stop(); reads == 0 {
		t.Error("nothing was read")
	}

	// The supervisor is killed after the change began; the next one continues.
	supervisor, _, _ := m.processes()
	pids := m.pids()
	dataset, runtime := m.manifests(true)
	raw, err := os.ReadFile(runtime)
	if err != nil {
		t.Fatal(err)
	}
	one := bytes.Replace(raw, []byte("master:\n    replicas: 3"), []byte("master:\n    replicas: 1"), 1)
	if err := os.WriteFile(runtime, one, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := m.run("kubectl-jindo", "local", "up", "-f", dataset, "-f", runtime, "--mountpoint", m.mount, "--timeout", "1ms"); code == 0 {
		t.Logf("the change was complete within the timeout: %s", stderr)
	}
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.nothingIsLeft(pids)
	if got := m.upWith(1); !strings.Contains(got, "1 of 1 masters vote") {
		t.Errorf("up printed %s", got)
	}
	if names := m.masterPIDs(); len(names) != 1 {
		t.Errorf("masters %v", names)
	}
	m.read("a.txt", "alpha")

	// The number is edited while nothing runs.
	for _, masters := range []int{3, 1} {
		m.must("kubectl-jindo", "local", "down")
		if got := m.upWith(masters); !strings.Contains(got, fmt.Sprintf("%d of %d masters vote", masters, masters)) {
			t.Errorf("up printed %s", got)
		}
		m.read("a.txt", "alpha")
		if names := m.masterPIDs(); len(names) != masters {
			t.Errorf("masters %v", names)
		}
	}
}
