package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// runMaster is the environment variable that makes the test binary a master:
// tests start real processes, built as the test is, including the race
// detector.
const runMaster = "JINDO_TEST_RUN_MASTER"

// runLimited is the environment variable with the number of files that such a
// master may open.
const runLimited = "JINDO_TEST_RUN_FILES"

// limitFiles lowers the limit of open files as a container runtime does.
func limitFiles() {
	files, err := strconv.ParseUint(os.Getenv(runLimited), 10, 64)
	if err != nil {
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		panic(err)
	}
}

// waitTimeout bounds waits. Tests assert nothing about time.
const waitTimeout = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(runMaster) != "" {
		limitFiles()
		if at := os.Getenv(runClock); at != "" {
			wallClock = jumpingClock(at)
		}
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// cluster is a cluster of real master processes.
type cluster struct {
	*consensustest.Fixture
	t         testing.TB
	rosterAt  string
	tlsDirs   []string
	processes []*process
	admin     *client.Client
	// command returns the command that starts the i-th master with arguments.
	command func(i int, args []string) *exec.Cmd
}

type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
}

func newCluster(t testing.TB, masters int) *cluster {
	t.Helper()
	return newClusterOf(t, consensustest.New(t, masters))
}

func newClusterOf(t testing.TB, fixture *consensustest.Fixture) *cluster {
	t.Helper()
	masters := len(fixture.Topology.Masters)
	c := &cluster{Fixture: fixture, t: t, processes: make([]*process, masters)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.command = func(_ int, args []string) *exec.Cmd { return exec.Command(self, args...) }
	dir := t.TempDir()
	raw, err := c.Topology.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	c.rosterAt = filepath.Join(dir, "roster.json")
	if err := os.WriteFile(c.rosterAt, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range masters {
		tls := filepath.Join(dir, "tls-"+c.Name(i))
		pair, err := c.Authority.Issue(mtls.Peer{Role: mtls.Master, Name: c.Name(i)}, []string{"127.0.0.1"}, time.Hour)
		if err == nil {
			err = pair.Save(tls)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.tlsDirs = append(c.tlsDirs, tls)
	}
	c.admin = c.client(mtls.Peer{Role: mtls.Admin, Name: "test"})
	t.Cleanup(c.stopAll)
	return c
}

func (c *cluster) client(peer mtls.Peer) *client.Client {
	c.t.Helper()
	made, err := client.New(client.Config{Topology: c.Topology, Identity: c.Issue(peer), Holder: peer.String()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(made.Close)
	return made
}

// start starts the i-th master.
func (c *cluster) start(i int, more ...string) {
	c.t.Helper()
	m := c.Topology.Masters[i]
	args := append([]string{
		"--name=" + m.Name, "--roster=" + c.rosterAt, "--tls-dir=" + c.tlsDirs[i], "--data-dir=" + c.DataDir(i),
		"--listen=" + m.Address(), "--raft-listen=" + m.RaftAddress(), "--health-listen=" + c.Health(i),
		"--heartbeat-timeout=1s", "--election-timeout=1s", "--lease-timeout=500ms", "--stabilization-time=100ms", "--debug",
	}, more...)
	p := &process{cmd: c.command(i, args), log: &tail{}, done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), runMaster+"=1"), p.cmd.Env...)
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log
	// When the test is killed, its masters are, too.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	c.processes[i] = p
}

// signal sends a signal to one master.
func (c *cluster) signal(i int, s syscall.Signal) {
	c.t.Helper()
	if err := c.processes[i].cmd.Process.Signal(s); err != nil {
		c.t.Fatalf("send %s to %s: %v", s, c.Name(i), err)
	}
}

// end ends one master with a signal, waits for it, and returns its state.
func (c *cluster) end(i int, s syscall.Signal) *os.ProcessState {
	c.t.Helper()
	p := c.processes[i]
	c.processes[i] = nil
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Fatalf("send %s to %s: %v", s, c.Name(i), err)
	}
	select {
	case <-p.done:
	case <-time.After(waitTimeout):
		_ = p.cmd.Process.Kill()
		c.t.Fatalf("%s did not exit after %s:\n%s", c.Name(i), s, p.log)
	}
	return p.cmd.ProcessState
}

func (c *cluster) stopAll() {
	for i, p := range c.processes {
		if p == nil {
			continue
		}
		_ = p.cmd.Process.Kill()
		<-p.done
		if c.t.Failed() {
			c.t.Logf("the log of %s ends:\n%s", c.Name(i), p.log)
		}
	}
}

// leader waits until a master is the leader and has a view, and returns its
// index.
func (c *cluster) leader() int {
	c.t.Helper()
	found := -1
	c.eventually("a master is the leader", func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.admin.View(ctx); err != nil {
			return err
		}
		for i, m := range c.admin.Members(ctx) {
			if m.Status.GetState() == "LEADER" && m.Status.GetReady() {
				found = i
				return nil
			}
		}
		return fmt.Errorf("no master is the leader")
	})
	return found
}

// settled waits until every master runs, is a voter, and is caught up.
func (c *cluster) settled() []*masterv1.StatusResponse {
	c.t.Helper()
	var all []*masterv1.StatusResponse
	c.eventually("all masters are ready", func() error {
		all = nil
		for _, m := range c.admin.Members(c.t.Context()) {
			if m.Err != nil {
				return fmt.Errorf("%s: %w", m.Member.Name, m.Err)
			}
			if !m.Status.GetReady() || len(m.Status.GetPeers()) != len(c.Topology.Masters) {
				return fmt.Errorf("%s is not ready: %v", m.Member.Name, m.Status)
			}
			all = append(all, m.Status)
		}
		return nil
	})
	return all
}

func (c *cluster) eventually(what string, check func() error) {
	c.t.Helper()
	var err error
	for deadline := time.Now().Add(waitTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	c.t.Fatalf("%s: not within %s: %v", what, waitTimeout, err)
}

// get requests a path from the health port of a master.
func (c *cluster) get(i int, path string) (int, string) {
	response, err := http.Get("http://" + c.Health(i) + path) //nolint:noctx // A test on loopback.
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	http.DefaultClient.CloseIdleConnections()
	return response.StatusCode, string(body)
}

func (c *cluster) mount(path string) *commonv1.Mount {
	c.t.Helper()
	m, _, err := c.admin.Mount(c.t.Context(), &commonv1.Mount{
		Name: filepath.Base(path), Path: path, Uri: "oss://bucket" + path + "/", ReadOnly: true,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// worker returns a worker of the cluster, as in a ring, and its identity.
func worker(i int) (*commonv1.RingMember, mtls.Peer) {
	name := fmt.Sprintf("w-%d", i)
	return &commonv1.RingMember{Id: fmt.Sprintf("disk-%d", i), Name: name, Host: "127.0.0.1", Port: 18005, Weight: 1 << 30},
		mtls.Peer{Role: mtls.Worker, Name: name}
}

// tail keeps the last bytes that are written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len() > 256<<10 {
		t.buf.Next(128 << 10)
	}
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buf.Bytes()
	return string(b[max(0, len(b)-8<<10):])
}

// compareDigests fails the test when two masters differ at an index, and
// returns an error when they have no index in common.
func compareDigests(c *cluster, all []*masterv1.StatusResponse) error {
	c.t.Helper()
	first, common := digests(all[0]), 0
	for index, digest := range first {
		shared := true
		for _, other := range all[1:] {
			got, ok := digests(other)[index]
			shared = shared && ok
			if ok && got != digest {
				c.t.Fatalf("at index %d, %s has digest %s and %s has %s", index, all[0].GetName(), digest, other.GetName(), got)
			}
		}
		if shared {
			common++
		}
	}
	if common == 0 {
		return fmt.Errorf("no index of %d is common to all", len(first))
	}
	return nil
}

// contains returns an error unless the reason why a master is not ready
// contains words.
func contains(c *cluster, i int, words string) error {
	if _, body := c.get(i, "/readyz"); !strings.Contains(body, words) {
		return fmt.Errorf("the reason is %q", body)
	}
	return nil
}
