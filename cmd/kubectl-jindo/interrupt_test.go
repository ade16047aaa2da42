//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/test/cli/clitest"
)

// interruptByte is what a terminal sends for Ctrl-C.
const interruptByte = "\x03"

// openPTY returns both ends of a new pseudo-terminal.
func openPTY(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("not run: no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = control.Close() })
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return control, terminal
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestPrompts runs commands on a pseudo-terminal and types once their prompt is
// there.
func TestPrompts(t *testing.T) {
	server, err := clitest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := server.Kubeconfig(kubeconfig, "default"); err != nil {
		t.Fatal(err)
	}
	if err := server.PutYAML([]byte("apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: hbase}\nspec: {mounts: [{mountPoint: 'local:///a'}]}\n")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	credentials := "create dataset x --mount oss://bucket/ --option fs.oss.endpoint=e --credentials=prompt --dry-run=client"
	for _, test := range []struct {
		name, args, prompt, typed string
		code                      int
		want                      string
	}{
		{"interrupted confirmation", "delete dataset hbase", "Type the name", interruptByte, 1, "error: nothing was deleted: interrupted"},
		{"interrupted secret", credentials, "Access key id", interruptByte, 1, "error: interrupted"},
		{"wrong name", "delete dataset hbase", "Type the name", "hbas\n", 1, `nothing was deleted: got "hbas", want "hbase"`},
		{"secret", credentials, "Access key id", "id\nsecret\n\n", 0, "secret/x-keys created (dry run)"},
		{"confirmed", "delete dataset hbase --wait=false", "Type the name", "hbase\n", 0, `"hbase" deleted`},
	} {
		t.Run(test.name, func(t *testing.T) {
			control, terminal := openPTY(t)
			cmd := exec.Command(self, strings.Fields(test.args)...)
			cmd.Args[0] = "kubectl-jindo"
			cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
			cmd.Stdin = terminal
			out := &output{}
			cmd.Stdout, cmd.Stderr = out, out
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			deadline := time.After(timeout)
			typed := false
			for !typed {
				select {
				case err := <-exited:
					t.Fatalf("ended with %v before its prompt: %s", err, out)
				case <-deadline:
					_ = cmd.Process.Kill()
					t.Fatalf("no prompt: %s", out)
				case <-time.After(10 * time.Millisecond):
				}
				typed = strings.Contains(out.String(), test.prompt)
			}
			if _, err := io.WriteString(control, test.typed); err != nil {
				t.Fatal(err)
			}
			select {
			case err = <-exited:
			case <-deadline:
				_ = cmd.Process.Kill()
				t.Fatalf("still running after %q was typed: %s", test.typed, out)
			}
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit code %d, output %q, want %d and %q", code, out, test.code, test.want)
			}
			if strings.Contains(out.String(), "secret\n") && test.typed == "id\nsecret\n\n" {
				t.Errorf("the secret was printed: %q", out)
			}
		})
	}
}
