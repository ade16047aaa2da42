//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/test/testbed"
)

// timeout bounds every wait of this test.
const timeout = 2 * time.Minute

// machine is a home directory with binaries, a store and manifests.
type machine struct {
	t     *testing.T
	bin   string
	home  string
	store string
	mount string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not run: need root to mount")
	}
	bin := binaries(t)
	home, err := testbed.Dir(bin, "cli")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, bin: bin, home: home, store: filepath.Join(home, "store"), mount: filepath.Join(home, "mnt")}
	t.Cleanup(func() {
		_, _, _ = m.run("kubectl-jindo", "local", "down", "--all", "--purge")
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	for name, content := range map[string]string{"a.txt": "alpha", "dir/b.bin": strings.Repeat("bravo", 1<<18)} {
		path := filepath.Join(m.store, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// binaries returns the directory of the binaries: JINDO_BIN_DIR, or one that they are
// built to.
func binaries(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("JINDO_BIN_DIR"); dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		return absolute
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/", "../master", "../worker", "../fuse", "../jindo", ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return dir
}

func (m *machine) run(program string, args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(m.bin, program), args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(m.home, "cache"), "LC_ALL=C.UTF-8")
	_ = cmd.Run() // the exit code is returned
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// must runs a command that must succeed and returns its standard output.
func (m *machine) must(program string, args ...string) string {
	m.t.Helper()
	stdout, stderr, code := m.run(program, args...)
	if code != 0 {
		m.t.Fatalf("%s %s: exit code %d\n%s%s%s", program, strings.Join(args, " "), code, stdout, stderr, m.logs())
	}
	return stdout
}

// logs returns the ends of the logs of all components.
func (m *machine) logs() string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(m.home, "cache/jindo/local/*/*/logs/*.log"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err == nil {
			fmt.Fprintf(&out, "--- %s\n%s\n", filepath.Base(file), raw[max(0, len(raw)-2000):])
		}
	}
	return out.String()
}

// manifests writes a Dataset and a JindoRuntime; bound adds the annotation that binds
// them.
func (m *machine) manifests(bound bool) (dataset, runtime string) {
	m.t.Helper()
	annotation := ""
	if bound {
		annotation = "  annotations: {data.fluid.io/dataset: hbase}\n"
	}
	files := map[string]string{
		"dataset.yaml": "apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata:\n  name: hbase\nspec:\n  mounts:\n" +
			"  - mountPoint: local://" + m.store + "/\n    name: hadoop\n",
		"runtime.yaml": "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata:\n  name: hadoop\n" + annotation +
			"spec:\n  replicas: 3\n  tieredstore:\n    levels:\n    - {mediumtype: HDD, path: /mnt/disk1, quota: 2G, high: \"0.8\", low: \"0.7\"}\n  master:\n    replicas: 3\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(m.home, name), []byte(content), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	return filepath.Join(m.home, "dataset.yaml"), filepath.Join(m.home, "runtime.yaml")
}

func (m *machine) up(bound bool) (stdout, stderr string) {
	m.t.Helper()
	dataset, runtime := m.manifests(bound)
	stdout, stderr, code := m.run("kubectl-jindo", "local", "up", "-f", dataset, "-f", runtime, "--mountpoint", m.mount)
	if code != 0 {
		m.t.Fatalf("up: exit code %d\n%s%s%s", code, stdout, stderr, m.logs())
	}
	return stdout, stderr
}

// process is one component in the output of local status.
type process struct {
	Name    string
	Role    string
	Process struct{ PID int }
}

func (m *machine) processes() (supervisor, guard int, components []process) {
	m.t.Helper()
	var list struct {
		Items []struct {
			Supervisor, Guard struct{ PID int }
			Components        []process
		}
	}
	if err := json.Unmarshal([]byte(m.must("kubectl-jindo", "local", "status", "-o", "json")), &list); err != nil || len(list.Items) != 1 {
		m.t.Fatalf("local status: %v, %d runtimes", err, len(list.Items))
	}
	return list.Items[0].Supervisor.PID, list.Items[0].Guard.PID, list.Items[0].Components
}

func (m *machine) pids() []int {
	supervisor, guard, components := m.processes()
	pids := []int{supervisor, guard}
	for _, c := range components {
		pids = append(pids, c.Process.PID)
	}
	return pids
}

func (m *machine) read(name, want string) {
	m.t.Helper()
	raw, err := os.ReadFile(filepath.Join(m.mount, "hadoop", name))
	if err != nil || string(raw) != want {
		m.t.Fatalf("%s: %d bytes, error %v, want %d bytes\n%s", name, len(raw), err, len(want), m.logs())
	}
}

// nothingIsLeft waits until no process, mount, socket or secret of a run is left.
func (m *machine) nothingIsLeft(pids []int) {
	m.t.Helper()
	m.eventually("no process is left", func() error {
		for _, pid := range pids {
			if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(raw), ") Z") {
				return fmt.Errorf("process %d runs", pid)
			}
		}
		return nil
	})
	m.eventually("no mount is left", func() error {
		raw, err := os.ReadFile("/proc/self/mountinfo")
		if err == nil && strings.Contains(string(raw), m.home) {
			err = fmt.Errorf("something below %s is mounted", m.home)
		}
		return err
	})
	m.eventually("no socket, secret or state is left", func() error {
		for _, name := range []string{"sockets", "credentials", "tls", "state.json", "roster.json"} {
			if found, _ := filepath.Glob(filepath.Join(m.home, "cache/jindo/local/default/hadoop", name)); len(found) > 0 {
				return fmt.Errorf("%s exists", found[0])
			}
		}
		return nil
	})
}

func (m *machine) eventually(what string, holds func() error) {
	m.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("still waiting until %s: %v\n%s", what, err, m.logs())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestLocalRuntime(t *testing.T) {
	m := newMachine(t)
	stdout, _ := m.up(true)
	for _, want := range []string{"dataset.data.fluid.io/hbase", "jindoruntime.data.fluid.io/hadoop", "3 of 3 masters vote", "3 of 3 workers registered", "local down hadoop"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("up printed %q, which does not contain %q", stdout, want)
		}
	}
	m.read("a.txt", "alpha")
	m.read("dir/b.bin", strings.Repeat("bravo", 1<<18))
	t.Run("screens", m.screens)
	t.Run("jindo", m.jindo)

	// The same manifests change nothing; others are refused.
	m.up(true)
	dataset, runtime := m.manifests(false)
	if _, stderr, code := m.run("kubectl-jindo", "local", "up", "-f", dataset, "-f", runtime, "--mountpoint", m.mount); code != 1 || !strings.Contains(stderr, "already running") {
		t.Errorf("other manifests: exit code %d, stderr %q", code, stderr)
	}
	t.Run("a killed FUSE server", m.killFuse)
	t.Run("a killed supervisor", m.killSupervisor)

	// Down stops everything and may be repeated; data is kept until it is purged.
	m.up(true)
	m.read("a.txt", "alpha")
	pids := m.pids()
	m.must("kubectl-jindo", "local", "down")
	m.nothingIsLeft(pids)
	m.must("kubectl-jindo", "local", "down", "hadoop")
	if _, err := os.Stat(filepath.Join(m.home, "cache/jindo/local/default/hadoop/formation.json")); err != nil {
		t.Errorf("the record of the formation was removed: %v", err)
	}
	m.must("kubectl-jindo", "local", "down", "hadoop", "--purge")
	if _, err := os.Stat(filepath.Join(m.home, "cache/jindo/local/default/hadoop")); err == nil {
		t.Error("the state directory exists after --purge")
	}
}

func (m *machine) screens(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"status --local", "+ Healthy"},
		{"status hbase --exit-code --local", "3/3 live"},
		{"status -A --local", "hadoop"},
		{"status --local -o jsonpath={.mounts[0].path}", "/hadoop"},
		{"raft status --local", "quorum 2/3"},
		{"raft status --local --format=jindo", "state: LEADER"},
		{"raft list-peers --local", "hadoop-jindofs-master-2"},
		{"local status", "hadoop-jindofs-fuse-0"},
		{"version --local", "default/hadoop: "},
		{"raft transfer-leader --local --to hadoop-jindofs-master-2", "hadoop-jindofs-master-2 leads"},
	} {
		if got := m.must("kubectl-jindo", strings.Fields(test.args)...); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q has no %q", test.args, got, test.want)
		}
	}
}

func (m *machine) jindo(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"jfs -metaStatus -detail", "==== hadoop-jindofs-master-0:18004 ====\npeer_id: 127."},
		{"jfs -report", "Live Nodes: 3\n"},
		{"admin -mount", "on /hadoop type jindo"},
		{"fs -ls jindo:///hadoop", "/hadoop/a.txt"},
		{"fs -cat /hadoop/a.txt", "alpha"},
		{"fs -count jindo:///hadoop", "           2            2            1310725 jindo:///hadoop\n"},
		{"fs -test -d /hadoop/dir", ""},
	} {
		if got := m.must("jindo", strings.Fields(test.args)...); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q has no %q", test.args, got, test.want)
		}
	}
	if _, stderr, code := m.run("jindo", "fs", "-ls", "/hadoop/none"); code != 1 || !strings.Contains(stderr, "No such file or directory") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// killFuse checks that an open file stays readable after the FUSE server was killed.
func (m *machine) killFuse(t *testing.T) {
	file, err := os.Open(filepath.Join(m.mount, "hadoop/dir/b.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	fuse := m.component("fuse")
	if err := syscall.Kill(fuse, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 5)
	if _, err := file.ReadAt(head, 1<<20); err != nil || !strings.Contains(strings.Repeat("bravo", 2), string(head)) {
		t.Errorf("read %q, error %v", head, err)
	}
	m.eventually("the FUSE server runs again", func() error {
		if now := m.component("fuse"); now == fuse || now == 0 {
			return fmt.Errorf("process %d", now)
		}
		return nil
	})
	m.read("a.txt", "alpha")
}

func (m *machine) component(role string) int {
	_, _, components := m.processes()
	for _, c := range components {
		if c.Role == role {
			return c.Process.PID
		}
	}
	return 0
}

func (m *machine) killSupervisor(t *testing.T) {
	pids := m.pids()
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.nothingIsLeft(pids)
	m.must("kubectl-jindo", "local", "down")
}

// TestLocalUnboundPair starts a Dataset and a JindoRuntime of different names: the
// runtime starts without the Dataset, and the note names the annotation to add.
func TestLocalUnboundPair(t *testing.T) {
	m := newMachine(t)
	_, stderr := m.up(false)
	if !strings.Contains(stderr, "data.fluid.io/dataset: hbase") {
		t.Errorf("up printed %q, without the annotation that binds the pair", stderr)
	}
	if entries, err := os.ReadDir(m.mount); err != nil || len(entries) > 0 {
		t.Errorf("the mount holds %v, error %v", entries, err)
	}
	if got := m.must("kubectl-jindo", "status", "--local"); !strings.Contains(got, "data.fluid.io/dataset: hbase") || !strings.Contains(got, "+ Healthy") {
		t.Errorf("status %q", got)
	}
	pids := m.pids()
	m.must("kubectl-jindo", "local", "down", "--purge")
	m.nothingIsLeft(pids)
}

// TestLocalUpThatIsKilled checks that a killed "local up" leaves nothing behind.
func TestLocalUpThatIsKilled(t *testing.T) {
	m := newMachine(t)
	dataset, runtime := m.manifests(true)
	cmd := exec.Command(filepath.Join(m.bin, "kubectl-jindo"), "local", "up", "-f", dataset, "-f", runtime, "--mountpoint", m.mount)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(m.home, "cache"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	m.eventually("components run", func() error {
		stdout, _, _ := m.run("kubectl-jindo", "local", "status")
		if !strings.Contains(stdout, "hadoop-jindofs-fuse-0") {
			return fmt.Errorf("status %q", stdout)
		}
		pids = m.pids()
		return nil
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	m.nothingIsLeft(pids)
}
