package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/manifests/samples"
)

// plugin runs "kubectl jindo" through kubectl, which finds the plugin on PATH.
type plugin struct {
	c         *cluster
	path      string
	namespace string
}

// result is the result of one command.
type result struct {
	stdout, stderr string
	code           int
}

// plugin builds the program beside a kubectl.
func (c *cluster) plugin(t *testing.T, namespace string) *plugin {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "kubectl-jindo"), "../../cmd/kubectl-jindo")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	if err := os.Symlink(c.kubectlPath, filepath.Join(dir, "kubectl")); err != nil {
		t.Fatal(err)
	}
	return &plugin{c: c, path: dir, namespace: namespace}
}

// run runs a command, which must end within the timeout.
func (p *plugin) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout+time.Minute)
	defer cancel()
	args = append([]string{"jindo"}, args...)
	if p.namespace != "" {
		args = append(args, "-n", p.namespace)
	}
	command := exec.CommandContext(ctx, filepath.Join(p.path, "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+p.c.kubeconfig, "PATH="+p.path+":"+os.Getenv("PATH"))
	command.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if ctx.Err() != nil {
		t.Fatalf("kubectl %s does not end: %s%s", strings.Join(args, " "), &stdout, &stderr)
	}
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// ok runs a command that must succeed.
func (p *plugin) ok(t *testing.T, args ...string) string {
	t.Helper()
	a := p.run(t, "", args...)
	if a.code != 0 {
		t.Fatalf("kubectl jindo %s: exit %d\n%s%s", strings.Join(args, " "), a.code, a.stdout, a.stderr)
	}
	return a.stdout
}

// settled runs a command until it exits with 0, because on a busy machine an
// election may be in progress.
func (p *plugin) settled(t *testing.T, args ...string) string {
	t.Helper()
	var a result
	eventually(t, "kubectl jindo "+strings.Join(args, " "), func(context.Context) error {
		if a = p.run(t, "", args...); a.code != 0 {
			return fmt.Errorf("exit %d\n%s%s", a.code, a.stdout, a.stderr)
		}
		return nil
	})
	return a.stdout
}

// fails runs a command that must exit with a code and print a short message on
// stderr.
func (p *plugin) fails(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	a := p.run(t, "", args...)
	if a.code != code || !strings.Contains(a.stderr, says) {
		t.Errorf("kubectl jindo %s: exit %d, want %d and %q on stderr; stdout\n%s\nstderr\n%s", strings.Join(args, " "), a.code, code, says, a.stdout, a.stderr)
	}
	_, failure, _ := strings.Cut("\n"+a.stderr, "\nerror: ")
	if lines := strings.Count(failure, "\n"); lines == 0 || lines > 3 {
		t.Errorf("kubectl jindo %s: an error of %d lines, want 1 to 3\n%s", strings.Join(args, " "), lines, a.stderr)
	}
}

// file writes a file into a temporary directory.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPlugin uses every command of the plugin, from creation to deletion.
func TestPlugin(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "plugin")
	c.bucket(t)
	p := c.plugin(t, namespace)
	dataset, runtime := file(t, "dataset.yaml", c.seedDataset()), file(t, "runtime.yaml", samples.Runtime)

	t.Run("refused", func(t *testing.T) {
		p.fails(t, 2, "1 or 3", "create", "runtime", "hadoop", "--masters=2", "--tier=HDD:/mnt/disk1:2G")
		p.fails(t, 1, "nobody", "create", "-f", dataset, "--as=nobody")
		if a := p.run(t, "", "create", "-f", dataset, "--dry-run=server"); a.code != 0 {
			t.Errorf("a dry run: exit %d, %s", a.code, a.stderr)
		}
		p.fails(t, 1, `"hbase"`, "status", "hbase")
	})
	a := p.run(t, "", "create", "-f", dataset, "-f", runtime, "--wait", "--timeout=4m")
	if a.code != 0 || a.stdout != "dataset.data.fluid.io/hbase created\njindoruntime.data.fluid.io/hadoop created\n" {
		t.Fatalf("create: exit %d, stdout\n%s\nstderr\n%s", a.code, a.stdout, a.stderr)
	}
	t.Run("status", func(t *testing.T) { p.checkStatus(t) })
	t.Run("raft", func(t *testing.T) { p.checkRaft(t) })
	t.Run("get", func(t *testing.T) {
		for _, noun := range []string{"datasets", "runtimes", "workers"} {
			if out := p.ok(t, "get", noun); !strings.Contains(out, "hbase") && !strings.Contains(out, "hadoop") {
				t.Errorf("get %s prints\n%s", noun, out)
			}
		}
		if out := p.ok(t, "tree", "hbase"); !strings.Contains(out, "hadoop-jindofs-master-2") {
			t.Errorf("tree prints\n%s", out)
		}
	})
	t.Run("check", func(t *testing.T) {
		if out := p.settled(t, "check", "hbase"); !strings.Contains(out, "passed") {
			t.Errorf("check prints\n%s", out)
		}
	})
	t.Run("silent members", func(t *testing.T) { p.checkSilentMasters(t) })
	t.Run("silent API server", func(t *testing.T) { p.checkSilentServer(t, dataset) })
	t.Run("no permission", func(t *testing.T) {
		for _, args := range [][]string{{"status"}, {"raft", "status", "hadoop"}, {"get", "datasets"}, {"tree", "hbase"}, {"delete", "dataset", "hbase", "--yes"}} {
			p.fails(t, 1, "nobody", append(args, "--as=nobody")...)
		}
	})
	p.fails(t, 2, "--yes", "delete", "runtime", "hadoop")
	p.ok(t, "delete", "runtime", "hadoop", "--yes")
	p.ok(t, "delete", "dataset", "hbase", "--yes")
	c.nothingLeft(t, namespace)
}

func (p *plugin) checkStatus(t *testing.T) {
	t.Helper()
	screen := p.settled(t, "status", "hbase", "--exit-code")
	for _, want := range []string{"hbase", "oss://test-bucket/", "Healthy", "hadoop-jindofs-master-0", "leader", "Bound"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, screen)
		}
	}
	var r struct {
		Kind    string
		Health  string
		Masters []struct{ Name, State string }
	}
	for _, args := range [][]string{{"-o", "json"}, {"-o", "json", "--color=always"}} {
		args = append([]string{"status", "hbase", "--exit-code"}, args...)
		if err := json.Unmarshal([]byte(p.settled(t, args...)), &r); err != nil || r.Health != "Healthy" || len(r.Masters) != 3 {
			t.Errorf("%v: %+v, %v", args, r, err)
		}
	}
	if wide := p.ok(t, "status", "hadoop", "-o", "wide"); !strings.Contains(wide, "COMMIT") {
		t.Errorf("the members were not queried:\n%s", wide)
	}
	if all := p.ok(t, "status", "-A"); !strings.Contains(all, p.namespace) {
		t.Errorf("-A prints\n%s", all)
	}
}

func (p *plugin) checkRaft(t *testing.T) {
	t.Helper()
	leader := -1
	eventually(t, "one master leads and two follow", func(context.Context) (err error) {
		a := p.run(t, "", "raft", "status", "hadoop", "--format=jindo")
		if a.code != 0 {
			return fmt.Errorf("exit %d\n%s%s", a.code, a.stdout, a.stderr)
		}
		leader, err = leaderOf(a.stdout)
		return err
	})
	if screen := p.settled(t, "raft", "status", "hbase"); !strings.Contains(screen, "Leader") && !strings.Contains(screen, "LEADER") {
		t.Errorf("the screen is\n%s", screen)
	}
	to := fmt.Sprintf("hadoop-jindofs-master-%d", (leader+1)%3)
	if out := p.settled(t, "raft", "transfer-leader", "hadoop", "--to", to); !strings.Contains(out, to) {
		t.Errorf("transfer-leader prints %q", out)
	}
	if out := p.ok(t, "raft", "list-peers", "hadoop"); strings.Count(out, "Voter") != 3 {
		t.Errorf("list-peers prints\n%s", out)
	}
}

// leaderOf returns the number of the leader in the walk-through's three blocks. The
// others must be followers.
func leaderOf(text string) (int, error) {
	block := regexp.MustCompile(`^==== hadoop-jindofs-master-(\d):18004 ====\npeer_id: \d+\.\d+\.\d+\.\d+:18006:0\nstate: (LEADER|FOLLOWER)$`)
	blocks := strings.Split(strings.TrimSpace(text), "\n\n")
	if len(blocks) != 3 {
		return 0, fmt.Errorf("%d blocks:\n%s", len(blocks), text)
	}
	var leaders []int
	for i, b := range blocks {
		match := block.FindStringSubmatch(b)
		if match == nil || match[1] != strconv.Itoa(i) {
			return 0, fmt.Errorf("block %d is %q", i, b)
		}
		if match[2] == "LEADER" {
			leaders = append(leaders, i)
		}
	}
	if len(leaders) != 1 {
		return 0, fmt.Errorf("masters %v lead:\n%s", leaders, text)
	}
	return leaders[0], nil
}

// checkSilentMasters stops two masters, which then accept connections but do not
// respond.
func (p *plugin) checkSilentMasters(t *testing.T) {
	t.Helper()
	signal := func(ordinal int, name string) {
		err := wait(context.WithoutCancel(t.Context()), timeout, func(ctx context.Context) error {
			pods, err := p.c.pods(ctx, p.namespace, fmt.Sprintf("hadoop-jindofs-master-%d", ordinal))
			if err != nil || len(pods) != 1 {
				return fmt.Errorf("%d pods: %w", len(pods), err)
			}
			_, err = p.c.onNode(ctx, pods[0].Spec.NodeName, fmt.Sprintf(
				`for d in /proc/[0-9]*; do if grep -q %s $d/cgroup 2>/dev/null && tr '\0' ' ' <$d/cmdline | grep -q '/master '; then kill -%s ${d#/proc/}; fi; done`,
				"pod"+string(pods[0].UID), name))
			return err
		})
		if err != nil {
			t.Errorf("signal %s to master %d: %v", name, ordinal, err)
		}
	}
	for _, ordinal := range []int{0, 1} {
		signal(ordinal, "STOP")
		defer signal(ordinal, "CONT")
	}
	a := p.run(t, "", "raft", "status", "hadoop", "--request-timeout=3s")
	if a.code != 3 || strings.Count(a.stdout, "UNREACHABLE")+strings.Count(a.stdout, "Unreachable")+strings.Count(a.stdout, "unreachable") < 2 {
		t.Errorf("raft status with two masters stopped: exit %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	a = p.run(t, "", "status", "hadoop", "-o", "wide", "--exit-code", "--request-timeout=3s")
	if a.code != 3 || !strings.Contains(a.stdout, "unreachable:") {
		t.Errorf("status with two masters stopped: exit %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	if a := p.run(t, "", "raft", "transfer-leader", "hadoop", "--request-timeout=3s"); a.code == 0 {
		t.Errorf("transfer-leader without a quorum: %s", a.stdout)
	}
}

// checkSilentServer uses an API server that accepts connections and never responds.
func (p *plugin) checkSilentServer(t *testing.T, dataset string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
		}
	}()
	server := "--server=https://" + listener.Addr().String()
	for _, args := range [][]string{
		{"status"},
		{"status", "hbase", "-o", "wide"},
		{"raft", "status", "hadoop"},
		{"raft", "list-peers", "hadoop"},
		{"raft", "transfer-leader", "hadoop"},
		{"create", "-f", dataset},
		{"get", "datasets"},
		{"tree", "hbase"},
		{"delete", "dataset", "hbase", "--yes"},
		{"inject", "explain", "pod"},
	} {
		p.fails(t, 1, "", append(args, server, "--request-timeout=2s")...)
	}
	if a := p.run(t, "", "check", server, "--request-timeout=2s"); a.code != 3 && a.code != 1 {
		t.Errorf("check: exit %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	if a := p.run(t, "", "version", server, "--request-timeout=2s"); !strings.Contains(a.stdout, "client") && !strings.Contains(a.stdout, "Client") {
		t.Errorf("version: exit %d\n%s%s", a.code, a.stdout, a.stderr)
	}
}
