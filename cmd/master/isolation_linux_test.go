package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// runInside is the environment variable that is set in the process that insideOwn
// starts.
const runInside = "JINDO_TEST_RUN_INSIDE"

// insideOwn runs the calling test in a process with its own network and its own mounts,
// and reports whether this is that process. Everything that a test makes there goes
// with it.
func insideOwn(t *testing.T) bool {
	t.Helper()
	if os.Getenv(runInside) != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("not run: need root for network namespaces and file systems")
	}
	for _, tool := range []string{"ip", "nft", "nsenter", "mkfs.ext4", "mount", "fsfreeze"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("not run: need %s", tool)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=0")
	cmd.Env = append(os.Environ(), runInside+"=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return false
}

// shell runs a command line of words.
func shell(t testing.TB, line string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// masterNet is a network in which each master has a namespace of its own. This process
// reaches all of them; the direction from one master to another can be cut.
type masterNet struct {
	t testing.TB
	// holders keep the namespaces.
	holders []*exec.Cmd
}

// host returns the address of the i-th master.
func (*masterNet) host(i int) string { return fmt.Sprintf("198.18.0.%d", i+1) }

// newMasterNet makes the network in the namespace of this process, which must be its
// own.
func newMasterNet(t testing.TB, masters int) *masterNet {
	t.Helper()
	n := &masterNet{t: t}
	shell(t, "ip link set lo up && ip link add hub type bridge && ip address add 198.18.0.254/24 dev hub && ip link set hub up")
	shell(t, "nft add table bridge cuts && nft 'add chain bridge cuts links { type filter hook forward priority 0; }'")
	for i := range masters {
		holder := exec.Command("sleep", "infinity")
		holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = holder.Process.Kill()
			_ = holder.Wait()
		})
		n.holders = append(n.holders, holder)
		pid := holder.Process.Pid
		shell(t, fmt.Sprintf("ip link add m%d type veth peer name eth0 netns %d && ip link set m%d master hub && ip link set m%d up", i, pid, i, i))
		shell(t, fmt.Sprintf("nsenter -t %d -n sh -c 'ip link set lo up && ip address add %s/24 dev eth0 && ip link set eth0 up'", pid, n.host(i)))
	}
	return n
}

// enter returns a command that executes a program in the namespace of the i-th master,
// as the same process.
func (n *masterNet) enter(i int, program string, args []string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(n.holders[i].Process.Pid), "-n", "--", program}, args...)...)
}

// cut drops what one master sends to another.
func (n *masterNet) cut(from, to int) {
	n.t.Helper()
	shell(n.t, fmt.Sprintf("nft add rule bridge cuts links ip saddr %s ip daddr %s drop", n.host(from), n.host(to)))
}

// heal ends all cuts.
func (n *masterNet) heal() {
	n.t.Helper()
	shell(n.t, "nft flush chain bridge cuts links")
}

// newVolume mounts a file system of its own, in memory, at a directory.
func newVolume(t testing.TB, at, size string) {
	t.Helper()
	image := at + ".img"
	shell(t, strings.NewReplacer("IMAGE", image, "SIZE", size, "AT", at).Replace(
		"mkdir -p AT && truncate -s SIZE IMAGE && mkfs.ext4 -q -m 0 -O ^has_journal IMAGE && mount -o loop IMAGE AT && rm -rf AT/lost+found"))
	t.Cleanup(func() {
		err := unix.Unmount(at, 0)
		if err = errors.Join(err, os.Remove(image)); err != nil {
			t.Errorf("remove the volume %s: %v", at, err)
		}
	})
}

// freeze makes every write to a volume wait, in intervals that a script of sleeps
// describes. Its shell thaws the volume even if this process ends meanwhile.
func freeze(t testing.TB, at string, frozen, thawed string, times int) (wait func()) {
	t.Helper()
	script := fmt.Sprintf("for i in $(seq %d); do fsfreeze -f %s && sleep %s; fsfreeze -u %s; sleep %s; done", times, at, frozen, at, thawed)
	cmd := exec.Command("sh", "-c", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := cmd.Wait(); err != nil {
			t.Errorf("freeze %s: %v", at, err)
		}
	}
}
