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

// serverSocketEnv names the environment variable that makes the test binary serve
// a store at the socket in its value.
const serverSocketEnv = "JINDO_KEEPER_TEST_SOCKET"

// testTimeout bounds waits; no test asserts it.
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

func eventually(t *testing.T, description string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting for: %s", description)
		}
	}
}

// start starts a server in a process of its own.
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

// connect connects a client and runs it. stop disconnects it, as the end of its
// process would.
func connect(t *testing.T, socket string) (c *Client, entries []Entry, stop func()) {
	t.Helper()
	c = NewClient(socket, slog.New(slog.DiscardHandler))
	waiting, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	entries, err := c.Connect(waiting)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	stop = func() { end(); <-done }
	t.Cleanup(stop)
	return c, entries, stop
}

// memory returns a file in memory with the given content.
func memory(t *testing.T, content string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), content)
	if _, err := file.WriteString(content); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func newEntry(t *testing.T, key string, contents ...string) Entry {
	t.Helper()
	d := Entry{Key: key, Description: json.RawMessage(`{"about":"` + key + `"}`)}
	for _, s := range contents {
		d.Files = append(d.Files, memory(t, s))
	}
	return d
}

// contents returns the contents of the entries' files, by key, and closes them.
func contents(t *testing.T, entries []Entry) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, d := range entries {
		for _, f := range d.Files {
			data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
			if err != nil {
				t.Error(err)
			}
			all[d.Key] += string(data) + ";"
			_ = f.Close()
		}
		if want := `{"about":"` + d.Key + `"}`; string(d.Description) != want {
			t.Errorf("entry %s has description %s, want %s", d.Key, d.Description, want)
		}
	}
	return all
}

func checkEntries(t *testing.T, entries []Entry, want map[string]string) {
	t.Helper()
	if got := contents(t, entries); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("entries %v, want %v", got, want)
	}
}

func TestEntriesSurviveTheClient(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "dir", "s")
	start(t, socket)
	c, entries, stop := connect(t, socket)
	checkEntries(t, entries, map[string]string{})
	for _, d := range []Entry{newEntry(t, "a", "old", "old2"), newEntry(t, "b", "1", "2"), newEntry(t, "a", "new", "new2")} {
		if err := c.Store(d); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	second, entries, stopSecond := connect(t, socket)
	checkEntries(t, entries, map[string]string{"a": "new;new2;", "b": "1;2;"})
	if err := second.Remove("b"); err != nil {
		t.Fatal(err)
	}
	stopSecond()
	_, entries, _ = connect(t, socket)
	checkEntries(t, entries, map[string]string{"a": "new;new2;"})
}

func TestEntriesSurviveTheServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	kill := start(t, socket)
	c, _, stop := connect(t, socket)
	if err := errors.Join(c.Store(newEntry(t, "a", "1")), c.Store(newEntry(t, "gone", "x"))); err != nil {
		t.Fatal(err)
	}
	kill()
	eventually(t, "the client detects the end of the server", func() bool { return !c.Connected() })
	// Requests made while the server is down take effect later.
	if err := c.Store(newEntry(t, "b", "2")); err == nil {
		t.Error("Store succeeded without a server")
	}
	if err := c.Remove("gone"); err == nil {
		t.Error("Remove succeeded without a server")
	}
	start(t, socket)
	eventually(t, "the client reconnects", c.Connected)
	// reconnect holds mu until all entries are stored, so this request comes
	// after them.
	if err := c.Store(newEntry(t, "c", "3")); err != nil {
		t.Fatal(err)
	}
	stop()
	_, entries, _ := connect(t, socket)
	checkEntries(t, entries, map[string]string{"a": "1;", "b": "2;", "c": "3;"})
}

// startInProcess starts a server in this process.
func startInProcess(t *testing.T) (s *Server, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	s = NewServer(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if entryCount(s) != 0 {
			t.Error("files are still open after Serve returned")
		}
	})
	eventually(t, "the socket exists", func() bool { _, err := os.Stat(socket); return err == nil })
	return s, socket
}

func TestInvalidEntriesAreRejected(t *testing.T) {
	s, socket := startInProcess(t)
	c, _, _ := connect(t, socket)
	long := newEntry(t, "long", "x")
	long.Description = json.RawMessage(`"` + strings.Repeat("x", MaxDescription) + `"`)
	for _, d := range []struct {
		name  string
		entry Entry
		want  string
	}{
		{"no key", newEntry(t, "", "x"), "no key"},
		{"no files", newEntry(t, "a"), "no files"},
		{"a long description", long, "bytes"},
	} {
		t.Run(d.name, func(t *testing.T) {
			if err := c.Store(d.entry); err == nil || !strings.Contains(err.Error(), d.want) {
				t.Errorf("Store returned %v, want %q", err, d.want)
			}
			delete(c.entries, d.entry.Key)
		})
	}
	if entryCount(s) != 0 {
		t.Errorf("%d entries, want 0", entryCount(s))
	}
	if err := c.Store(newEntry(t, "good", "x")); err != nil {
		t.Errorf("valid entry after invalid ones: %v", err)
	}
}

func TestMalformedPacketEndsOnlyItsConnection(t *testing.T) {
	s, socket := startInProcess(t)
	c, _, stop := connect(t, socket)
	if err := c.Store(newEntry(t, "a", "1")); err != nil {
		t.Fatal(err)
	}
	stop()
	for _, packet := range []string{"x", "{}", `{"version":0,"kind":"entry"}`, strings.Repeat("y", 1<<15)} {
		conn, err := net.Dial(fdsock.Network, socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(packet)); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, conn) // until the server closes the connection
		_ = conn.Close()
	}
	if entryCount(s) != 1 {
		t.Errorf("%d entries, want 1", entryCount(s))
	}
	// A kind of a later version is rejected and the connection stays open.
	next, entries, _ := connect(t, socket)
	checkEntries(t, entries, map[string]string{"a": "1;"})
	next.mu.Lock()
	err := next.request(message{Kind: "later"}, nil)
	next.mu.Unlock()
	var rejected rejectedError
	if !errors.As(err, &rejected) {
		t.Errorf("unknown kind: %v", err)
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
		t.Error("Store succeeded on a replaced client")
	}
}

// TestClientThatDoesNotReceive: a client that was stopped while it received the
// entries does not keep the next one out.
func TestClientThatDoesNotReceive(t *testing.T) {
	s, socket := startInProcess(t)
	c, _, stop := connect(t, socket)
	const count = 400
	want := map[string]string{}
	for i := range count {
		key := fmt.Sprintf("entry-%03d", i)
		d := newEntry(t, key, "x")
		if err := c.Store(d); err != nil {
			t.Fatal(err)
		}
		want[key] = "x;"
	}
	stop()
	stopped, err := net.Dial(fdsock.Network, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	eventually(t, "the server sends entries to it", func() bool {
		if s.mu.TryLock() {
			s.mu.Unlock()
			return false
		}
		return true
	})
	_, entries, _ := connect(t, socket)
	checkEntries(t, entries, want)
}

func entryCount(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}
