//go:build linux

package fdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// asKeeper makes the test binary a keeper at the socket it names.
const serverSocketEnv = "JINDO_KEEPER_TEST_SOCKET"

// patience bounds waits; nothing is asserted about it.
const testTimeout = 30 * time.Second

func TestMain(m *testing.M) {
	if socket := os.Getenv(serverSocketEnv); socket != "" {
		if err := NewServer(slog.New(slog.DiscardHandler)).Serve(context.Background(), socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// start a keeper in a process of its own.
func start(t *testing.T, socket string) (kill func()) {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), serverSocketEnv+"="+socket)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() { _ = command.Process.Kill(); _ = command.Wait() })
	t.Cleanup(kill)
	return kill
}

// connect a client; stop ends it as its process's end would.
func connect(t *testing.T, socket string) (c *Client, held []Entry, stop func()) {
	t.Helper()
	c = NewClient(socket, slog.New(slog.DiscardHandler))
	waiting, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	held, err := c.Connect(waiting)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	stop = func() { end(); <-done }
	t.Cleanup(stop)
	return c, held, stop
}

// memory is a file that can be told from others by what is in it.
func memory(t *testing.T, says string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), says)
	if _, err := file.WriteString(says); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func newEntry(t *testing.T, key string, says ...string) Entry {
	t.Helper()
	d := Entry{Key: key, Description: json.RawMessage(`{"about":"` + key + `"}`)}
	for _, s := range says {
		d.Files = append(d.Files, memory(t, s))
	}
	return d
}

// contents of deposits, by key.
func contents(t *testing.T, held []Entry) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, d := range held {
		for _, f := range d.Files {
			data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
			if err != nil {
				t.Error(err)
			}
			all[d.Key] += string(data) + ";"
			_ = f.Close()
		}
		if want := `{"about":"` + d.Key + `"}`; string(d.Description) != want {
			t.Errorf("deposit %s is described as %s", d.Key, d.Description)
		}
	}
	return all
}

func checkEntries(t *testing.T, held []Entry, want map[string]string) {
	t.Helper()
	if got := contents(t, held); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("held %v, not %v", got, want)
	}
}

func TestDepositsOutliveTheClient(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "dir", "s")
	start(t, socket)
	c, held, stop := connect(t, socket)
	checkEntries(t, held, map[string]string{})
	for _, d := range []Entry{newEntry(t, "a", "old", "old2"), newEntry(t, "b", "1", "2"), newEntry(t, "a", "new", "new2")} {
		if err := c.Store(d); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	second, held, stopSecond := connect(t, socket)
	checkEntries(t, held, map[string]string{"a": "new;new2;", "b": "1;2;"})
	if err := second.Remove("b"); err != nil {
		t.Fatal(err)
	}
	stopSecond()
	_, held, _ = connect(t, socket)
	checkEntries(t, held, map[string]string{"a": "new;new2;"})
}

func TestDepositsOutliveTheKeeper(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	kill := start(t, socket)
	c, _, stop := connect(t, socket)
	if err := errors.Join(c.Store(newEntry(t, "a", "1")), c.Store(newEntry(t, "gone", "x"))); err != nil {
		t.Fatal(err)
	}
	kill()
	eventually(t, "the end of the keeper is noticed", func() bool { return !c.Connected() })
	// What is said while it is away counts too.
	if err := c.Store(newEntry(t, "b", "2")); err == nil {
		t.Error("a keeper that is away took a deposit")
	}
	if err := c.Remove("gone"); err == nil {
		t.Error("a keeper that is away let go of a deposit")
	}
	start(t, socket)
	eventually(t, "it is back", c.Connected)
	// Whoever holds mu deposits everything before it is seen as connected by
	// the next question.
	if err := c.Store(newEntry(t, "c", "3")); err != nil {
		t.Fatal(err)
	}
	stop()
	_, held, _ := connect(t, socket)
	checkEntries(t, held, map[string]string{"a": "1;", "b": "2;", "c": "3;"})
}

// served is a keeper in this process.
func startInProcess(t *testing.T) (k *Server, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	k = NewServer(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Serve(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if k.Len() != 0 {
			t.Error("files are left open")
		}
	})
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	return k, socket
}

func TestKeeperRefuses(t *testing.T) {
	k, socket := startInProcess(t)
	c, _, _ := connect(t, socket)
	long := newEntry(t, "long", "x")
	long.Description = json.RawMessage(`"` + strings.Repeat("x", MaxDescription) + `"`)
	for _, d := range []struct {
		name    string
		deposit Entry
		says    string
	}{
		{"no key", newEntry(t, "", "x"), "needs a key"},
		{"no files", newEntry(t, "a"), "no files"},
		{"an endless description", long, "bytes"},
	} {
		t.Run(d.name, func(t *testing.T) {
			if err := c.Store(d.deposit); err == nil || !strings.Contains(err.Error(), d.says) {
				t.Errorf("answered %v", err)
			}
			delete(c.entries, d.deposit.Key)
		})
	}
	if k.Len() != 0 {
		t.Errorf("%d are held", k.Len())
	}
	if err := c.Store(newEntry(t, "good", "x")); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

func TestNonsenseEndsAConnectionAndNothingElse(t *testing.T) {
	k, socket := startInProcess(t)
	c, _, stop := connect(t, socket)
	if err := c.Store(newEntry(t, "a", "1")); err != nil {
		t.Fatal(err)
	}
	stop()
	for _, packet := range []string{"x", "{}", `{"version":0,"kind":"deposit"}`, strings.Repeat("y", 1<<15)} {
		conn, err := net.Dial(fdsock.Network, socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(packet)); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, conn) // until the keeper hangs up
		_ = conn.Close()
	}
	if k.Len() != 1 {
		t.Errorf("%d are held", k.Len())
	}
	// A kind of a later version is refused, and the connection goes on.
	next, held, _ := connect(t, socket)
	checkEntries(t, held, map[string]string{"a": "1;"})
	next.mu.Lock()
	err := next.request(message{Kind: "later"}, nil)
	next.mu.Unlock()
	var refused rejectedError
	if !errors.As(err, &refused) {
		t.Errorf("answered %v", err)
	}
}

func TestNewestClientWins(t *testing.T) {
	_, socket := startInProcess(t)
	first := NewClient(socket, slog.New(slog.DiscardHandler))
	if _, err := first.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, _, _ := connect(t, socket)
	if err := second.Store(newEntry(t, "a", "1")); err != nil {
		t.Fatal(err)
	}
	if err := first.Store(newEntry(t, "a", "stale")); err == nil {
		t.Error("a client that was replaced deposits")
	}
}
