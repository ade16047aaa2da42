//go:build linux

package fusefs

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// child returns a command that runs this test binary in a role.
func (h *testMount) child(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), roleVariable+"="+role,
		socketVariable+"="+h.socket, stateVariable+"="+h.state, pointVariable+"="+h.point)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command
}

func TestReadersSurviveKilledServers(t *testing.T) {
	h := newTestMount(t)
	kills := 20
	if testing.Short() {
		kills = 5
	}
	k := h.startKilled(t)
	for range kills {
		k.kill(time.Duration(rand.IntN(200))*time.Millisecond, true)
	}
	k.stop(kills)
}

// TestKilledServersOfALargeTable kills servers whose table is large, while they
// take over and while they scan the table. Afterwards the kernel forgets every
// file, which only right lookup counts allow.
func TestKilledServersOfALargeTable(t *testing.T) {
	files := 100_000
	switch {
	case os.Getenv("JINDO_LONG") != "":
		files = 1_000_000
	case testing.Short():
		files = 5000
	}
	t.Setenv(wideVariable, strconv.Itoa(files))
	h := newTestMount(t)
	k := h.startKilled(t)
	// The limit only keeps the test from hanging.
	limit := time.Now().Add(2*time.Minute + time.Duration(files)*time.Millisecond)
	for {
		if _, err := os.Stat(filepath.Join(h.state, filledName)); err == nil {
			break
		}
		if k.exited() || time.Now().After(limit) {
			t.Fatal("the readers have not looked up the files")
		}
		time.Sleep(50 * time.Millisecond)
	}
	const kills = 20
	for i := range kills {
		// Half of them are killed before they serve.
		k.kill(time.Duration(rand.IntN(100))*time.Millisecond, i%2 == 0)
	}
	k.stop(kills)

	dirs := files/wideDir + 10
	_ = k.server.Process.Signal(syscall.SIGUSR1)
	nodes := uint64(0)
	eventually(t, "the kernel has forgotten every file", func() bool {
		raw, err := os.ReadFile(filepath.Join(h.state, tableName))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := decodeRoot(raw[rootAt:])
		if ok {
			nodes = r.nodes
		}
		return ok && r.nodes <= uint64(dirs)
	})
	t.Logf("%d files were known, %d nodes remain", files, nodes)
	k.end()
}

// killedServers is a mount with readers, whose servers are killed.
type killedServers struct {
	t       *testing.T
	mount   *testMount
	server  *exec.Cmd
	role    string
	readers *exec.Cmd
	out     bytes.Buffer
	done    chan error
}

func (h *testMount) startKilled(t *testing.T) *killedServers {
	t.Helper()
	return h.startRoles(t, "serve", "read")
}

// startRoles starts a server and readers with the given roles.
func (h *testMount) startRoles(t *testing.T, server, readers string) *killedServers {
	t.Helper()
	k := &killedServers{t: t, mount: h, server: h.child(t, server), role: server, readers: h.child(t, readers), done: make(chan error, 1)}
	k.readers.Stdout = &k.out
	for _, command := range []*exec.Cmd{k.server, k.readers} {
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
	}
	go func() { k.done <- k.readers.Wait() }()
	t.Cleanup(k.end)
	return k
}

func (k *killedServers) exited() bool {
	select {
	case err := <-k.done:
		k.done <- err
		return true
	default:
		return false
	}
}

// kill kills the server after a time, counted from when it serves if serving is
// set, and starts the next one.
func (k *killedServers) kill(after time.Duration, serving bool) {
	k.t.Helper()
	if serving {
		eventually(k.t, "the next server is serving", k.mount.session.Serving)
	}
	time.Sleep(after)
	generation := k.mount.session.Generation()
	k.endServer()
	k.server = k.mount.child(k.t, k.role)
	if err := k.server.Start(); err != nil {
		k.t.Fatal(err)
	}
	if serving {
		eventually(k.t, "the next server attaches", func() bool { return k.mount.session.Generation() > generation })
	}
}

func (k *killedServers) endServer() {
	_ = k.server.Process.Kill()
	_ = k.server.Wait()
}

// stop stops the readers and checks what they read. The last server remains.
func (k *killedServers) stop(kills int) {
	k.t.Helper()
	eventually(k.t, "the last server is serving", k.mount.session.Serving)
	_ = k.readers.Process.Signal(syscall.SIGTERM)
	watchdog := time.AfterFunc(waitTimeout, func() {
		k.t.Error("the readers hang")
		_ = k.mount.session.Abort()
		_ = k.readers.Process.Kill()
	})
	err := <-k.done
	watchdog.Stop()
	k.done <- err
	if err != nil {
		k.t.Fatalf("readers: %v", err)
	}
	checkReaderStats(k.t, k.out.Bytes(), kills, k.mount.session.Generation())
}

// end kills what still runs.
func (k *killedServers) end() {
	_ = k.readers.Process.Kill()
	k.endServer()
}

func checkReaderStats(t *testing.T, raw []byte, kills int, generation uint64) {
	t.Helper()
	var result readerStats
	if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatalf("decode the result of the readers %q: %v", raw, err)
	}
	t.Logf("%d kills, generation %d: %d reads, %d listings, %d stats, worst stall %v", kills, generation, result.Reads, result.Lists, result.Stats, result.WorstStall)
	for _, f := range result.Failed {
		t.Errorf("failed: %s", f)
	}
	for _, w := range result.Wrong {
		t.Errorf("wrong: %s", w)
	}
	if result.Reads == 0 || result.Lists == 0 || result.Stats == 0 {
		t.Error("the readers, listings or stats did nothing")
	}
}
