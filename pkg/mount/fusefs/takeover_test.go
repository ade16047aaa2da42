//go:build linux

package fusefs

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
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
	server := h.child(t, "serve")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	readers := h.child(t, "read")
	var out bytes.Buffer
	readers.Stdout = &out
	if err := readers.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range kills {
		eventually(t, "the next server is serving", func() bool {
			return h.session.Generation() == uint64(i+1) && h.session.Serving()
		})
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		_ = server.Process.Kill()
		_ = server.Wait()
		server = h.child(t, "serve")
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the last server is serving", h.session.Serving)
	time.Sleep(200 * time.Millisecond)
	_ = readers.Process.Signal(syscall.SIGTERM)
	watchdog := time.AfterFunc(waitTimeout, func() {
		t.Error("the readers hang")
		_ = h.session.Abort()
		_ = readers.Process.Kill()
	})
	err := readers.Wait()
	watchdog.Stop()
	_ = server.Process.Kill()
	_ = server.Wait()
	if err != nil {
		t.Fatalf("readers: %v", err)
	}
	checkReaderStats(t, out.Bytes(), kills, h.session.Generation())
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
