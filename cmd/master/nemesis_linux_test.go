package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// runNemesis is the environment variable with the duration of TestNemesis, and
	// runSeed that with the seed; one is chosen otherwise.
	runNemesis = "JINDO_NEMESIS"
	runSeed    = "JINDO_SEED"
	// nemesisVolume is the size of each master's file system.
	nemesisVolume = "160M"
)

// nemesis injects faults into masters that change their number, while clients send
// commands and reads. In each step up to two disturbances, which end, accompany at most
// one alteration: of the number of masters, of a member, or of a disk.
//
// A step begins when all masters are ready, and destroys one disk at most. So no
// majority is ever lost for good, and every acknowledged command must remain.
type nemesis struct {
	*cluster
	test   *testing.T
	net    *masterNet
	choose *rand.Rand
	// size is how many masters the topology lists.
	size int
	// running are the masters that must run: those that end are started again.
	running map[int]bool
	// led is the leader when the step began.
	led int
	// dead is the master that stays dead until it is removed; -1 for none.
	dead int
	// did counts the faults.
	did map[string]int
	// epochs are the final epochs of the mounts of earlier steps.
	epochs map[string]uint64
	total  figures
}

// disturbance begins a fault of a master and returns what ends it.
type disturbance struct {
	name  string
	begin func(n *nemesis, i int) (end func())
}

func disturbances() []disturbance {
	return []disturbance{
		{"kill", (*nemesis).kill},
		{"pause", (*nemesis).pause},
		{"pause", (*nemesis).pause}, // twice as often: it is what stale reads come from
		{"cut one direction", (*nemesis).cutOne},
		{"cut off", (*nemesis).cutOff},
		{"slow disk", func(n *nemesis, i int) func() { return freeze(n.t, n.DataDir(i), "0.3", "0.1", 8) }},
		{"disk hangs", func(n *nemesis, i int) func() { return freeze(n.t, n.DataDir(i), "7", "0", 1) }},
		{"full disk", (*nemesis).fillDisk},
		{"clock jumps", (*nemesis).jump},
	}
}

// alteration changes a master or the number of masters; the step ends when await returns.
type alteration struct {
	name string
	// possible reports whether the change can be made now.
	possible func(n *nemesis) bool
	begin    func(n *nemesis, i int) (await func())
}

func alterations() []alteration {
	three := func(n *nemesis) bool { return n.size == 3 }
	always := func(*nemesis) bool { return true }
	return []alteration{
		{"nothing", always, func(*nemesis, int) func() { return func() {} }},
		{"resize", always, (*nemesis).resize},
		{"transfer", three, (*nemesis).move},
		{"wipe", three, (*nemesis).wipe},
		{"damage", three, (*nemesis).damage},
		{"remove-peer", three, (*nemesis).remove},
	}
}

// TestNemesis injects faults at random for a time; see nemesis. The same seed gives the
// same faults; half of the targets are the leader of that time.
func TestNemesis(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv(runNemesis))
	if err != nil {
		t.Skipf("not run: %s is no duration", runNemesis)
	}
	if !insideOwn(t) {
		return
	}
	seed := rand.Uint64()
	if given, err := strconv.ParseUint(os.Getenv(runSeed), 10, 64); err == nil {
		seed = given
	}
	t.Logf("seed %d", seed)
	n := newNemesis(t, seed)
	steps := 0
	for end := time.Now().Add(d); time.Now().Before(end) && !t.Failed(); steps++ {
		n.step(steps)
	}
	if t.Failed() {
		return
	}
	if n.size == 1 {
		n.resize(0)()
	}
	n.settle()
	n.finish()
	t.Logf("%d steps: %s", steps, n.total)
	t.Logf("faults: %v", n.did)
}

func newNemesis(t *testing.T, seed uint64) *nemesis {
	t.Helper()
	const masters = 3
	net := newMasterNet(t, masters)
	fixture := consensustest.New(t, masters)
	for i := range fixture.Topology.Masters {
		fixture.Topology.Masters[i].Host = net.host(i)
	}
	n := &nemesis{
		cluster: newClusterOf(t, fixture), test: t, net: net, choose: rand.New(rand.NewPCG(seed, 0)), size: masters, dead: -1,
		running: map[int]bool{}, did: map[string]int{}, epochs: map[string]uint64{},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n.command = func(i int, args []string) *exec.Cmd {
		cmd := net.enter(i, self, args)
		cmd.Env = []string{runClock + "=" + n.clock(i), "GORACE=halt_on_error=1 exitcode=66"}
		return cmd
	}
	for i := range masters {
		newVolume(t, n.DataDir(i), nemesisVolume)
	}
	t.Cleanup(n.stopAll) // before the volumes are removed
	for i := range masters {
		n.run(i)
	}
	n.settled()
	return n
}

// clock returns the path of the file with the offset of a master's clock.
func (n *nemesis) clock(i int) string { return n.DataDir(i) + ".clock" }

// run starts a master, which is started again from now on when it ends.
func (n *nemesis) run(i int) {
	n.t.Helper()
	if n.processes[i] != nil {
		return
	}
	more := []string{"--health-listen=" + n.healthAt(i)}
	if len(n.did) > 0 {
		more = append(more, "--formed")
	}
	n.running[i] = true
	n.start(i, more...)
}

// stop ends a master for the time being.
func (n *nemesis) stop(i int, s syscall.Signal) {
	n.t.Helper()
	n.running[i] = false
	if n.processes[i] != nil {
		n.end(i, s)
	}
}

// supervise starts the masters that have ended, as the kubelet does. They may end
// because of their disk or membership, and never because of a panic or a data race.
func (n *nemesis) supervise() {
	n.t.Helper()
	for i, p := range n.processes {
		if p == nil || !n.running[i] {
			continue
		}
		select {
		case <-p.done:
		default:
			continue
		}
		reason := p.log.String()
		if code := p.cmd.ProcessState.ExitCode(); code != 1 && code != 3 {
			n.t.Fatalf("%s ended with %s:\n%s", n.Name(i), p.cmd.ProcessState, reason)
		}
		lines := strings.Split(strings.TrimSpace(reason), "\n")
		n.t.Logf("%s ended: %s", n.Name(i), lines[len(lines)-1])
		n.processes[i] = nil
		n.run(i)
	}
}

// until supervises the masters until check returns nil.
func (n *nemesis) until(what string, check func() error) {
	n.t.Helper()
	n.eventually(what, func() error {
		n.supervise()
		return check()
	})
}

// settle waits until all masters that the topology lists are ready and the only
// members.
func (n *nemesis) settle() {
	n.t.Helper()
	n.until("all masters are ready", func() error {
		for i, m := range n.admin.Members(n.t.Context()) {
			switch {
			case i >= n.size:
			case m.Err != nil:
				return fmt.Errorf("%s: %w", m.Member.Name, m.Err)
			case !m.Status.GetReady() || len(m.Status.GetPeers()) != n.size:
				return fmt.Errorf("%s is not ready: %v", m.Member.Name, m.Status)
			case m.Status.GetReadOnly():
				return fmt.Errorf("%s: %s", m.Member.Name, m.Status.GetReason())
			}
		}
		return nil
	})
}

// step makes one step; see nemesis.
func (n *nemesis) step(number int) {
	n.settle()
	path := fmt.Sprintf("/step-%d", number)
	s := startPacedStream(n.cluster, path, 3, 2, 2*time.Millisecond, refusedForSpace)
	for i := range n.size {
		n.readAt(s, 10+i, i)
	}
	s.awaitProgress(n.cluster)

	possible := slices.DeleteFunc(alterations(), func(c alteration) bool { return !c.possible(n) })
	chosen := possible[n.choose.IntN(len(possible))]
	names := []string{chosen.name}
	n.led = n.leader()
	target := n.target()
	var ends []func()
	kinds := disturbances()
	for _, i := range n.choose.Perm(n.size)[:1+n.choose.IntN(min(2, n.size))] {
		kind := kinds[n.choose.IntN(len(kinds))]
		if n.size == 1 && kind.name == "full disk" {
			continue // commands are refused until there is space, which is another test
		}
		names = append(names, fmt.Sprintf("%s %s", kind.name, n.Name(i)))
		n.did[kind.name]++
		ends = append(ends, kind.begin(n, i))
	}
	n.did[chosen.name]++
	n.t.Logf("step %d, %d masters: %s, %s", number, n.size, names[0]+" "+n.Name(target), strings.Join(names[1:], ", "))
	await := chosen.begin(n, target)
	n.last(time.Duration(n.choose.IntN(3000)) * time.Millisecond)
	for _, end := range ends {
		end()
	}
	await()
	n.settle()
	s.awaitProgress(n.cluster)
	s.finish(n.cluster)
	n.epochs[path] = s.acknowledged.Load()
	n.total.add(s)
}

// last lets a fault last for a time, while masters that end are started again.
func (n *nemesis) last(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		n.supervise()
	}
}

// target returns the leader half of the time, and any master otherwise.
func (n *nemesis) target() int {
	if leads, i := n.choose.IntN(2) == 0, n.choose.IntN(n.size); !leads {
		return i
	}
	return n.led
}

// refusedForSpace reports whether a command was refused because disks are full.
func refusedForSpace(err error) bool { return strings.Contains(err.Error(), "full") }

func (n *nemesis) kill(i int) func() {
	n.stop(i, syscall.SIGKILL)
	return func() {
		if i != n.dead {
			n.run(i)
		}
	}
}

func (n *nemesis) pause(i int) func() {
	n.send(i, syscall.SIGSTOP)
	return func() { n.send(i, syscall.SIGCONT) }
}

// send sends a signal to a master if it runs.
func (n *nemesis) send(i int, s syscall.Signal) {
	if p := n.processes[i]; p != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended
	}
}

func (n *nemesis) cutOne(i int) func() {
	other := (i + 1 + n.choose.IntN(2)) % 3
	if n.choose.IntN(2) == 0 {
		n.net.cut(i, other)
	} else {
		n.net.cut(other, i)
	}
	return n.net.heal
}

func (n *nemesis) cutOff(i int) func() {
	for other := range 3 {
		if other != i {
			n.net.cut(i, other)
			n.net.cut(other, i)
		}
	}
	return n.net.heal
}

func (n *nemesis) fillDisk(i int) func() {
	filler := filepath.Join(n.DataDir(i), "another-user")
	shell(n.t, "head -c 1G /dev/zero > "+filler+" 2> /dev/null; test -s "+filler)
	return func() { _ = os.Remove(filler) } // a wipe removes it, too
}

// jump makes a clock jump by up to a day, and later back to the right time.
func (n *nemesis) jump(i int) func() {
	by := time.Duration(n.choose.Int64N(int64(48*time.Hour))) - 24*time.Hour
	set := func(by time.Duration) {
		if err := os.WriteFile(n.clock(i), []byte(strconv.FormatInt(int64(by), 10)), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	set(by)
	return func() { set(0) }
}

// resize changes the number of masters as an executor does.
func (n *nemesis) resize(int) func() {
	if n.size == 1 {
		n.size = 3
		n.list(3)
		n.run(1)
		n.run(2)
		return func() {}
	}
	n.size = 1
	n.list(1)
	return func() {
		n.settle()
		for _, i := range []int{2, 1} {
			n.until("a removed master may be stopped", func() error { return n.mayStop(i) })
			n.stop(i, syscall.SIGTERM)
		}
	}
}

// mayStop returns an error unless a master that runs reports that it was removed.
func (n *nemesis) mayStop(i int) error {
	response, err := http.Get("http://" + n.healthAt(i) + "/readyz") //nolint:noctx // A test in a network of its own.
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	http.DefaultClient.CloseIdleConnections()
	// One that learned of its removal before it read the topology has ended, and found at
	// its next start that its disk may be removed.
	if text := string(body); !strings.Contains(text, "may be stopped") && !strings.Contains(text, "may be removed") {
		return fmt.Errorf("%s: %q: %w", n.Name(i), body, err)
	}
	return nil
}

// healthAt returns the address of a master's health checks.
func (n *nemesis) healthAt(i int) string { return n.net.host(i) + ":18009" }

func (n *nemesis) move(i int) func() {
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	if _, err := n.admin.Transfer(ctx, n.Name(i)); err != nil {
		n.t.Logf("transfer: %v", err)
	}
	return func() {}
}

// wipe replaces the disk of a master by an empty one.
func (n *nemesis) wipe(i int) func() {
	n.stop(i, syscall.SIGKILL)
	n.clear(i)
	n.run(i)
	return func() {}
}

// clear removes everything from a disk.
func (n *nemesis) clear(i int) {
	n.t.Helper()
	entries, err := os.ReadDir(n.DataDir(i))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(n.DataDir(i), e.Name())); err != nil {
			n.t.Fatal(err)
		}
	}
}

// damage flips a bit of the log in the root page of its newest transaction.
func (n *nemesis) damage(i int) func() {
	n.stop(i, syscall.SIGKILL)
	change(n.test, n.log(i), func(raw []byte) {
		// Within a meta page, the root page is at 32 and the transaction at 64.
		size, newest := os.Getpagesize(), 0
		if binary.LittleEndian.Uint64(raw[size+64:]) > binary.LittleEndian.Uint64(raw[64:]) {
			newest = size
		}
		raw[int(binary.LittleEndian.Uint64(raw[newest+32:]))*size] ^= 1
	})
	n.run(i)
	return func() {}
}

// remove removes a dead member, which then returns, with its disk or with an empty one.
func (n *nemesis) remove(i int) func() {
	if i == n.led {
		i = (i + 1) % 3
	}
	n.stop(i, syscall.SIGKILL)
	n.dead = i
	if n.choose.IntN(2) == 0 {
		n.clear(i)
	}
	return func() {
		n.until("the dead member is removed", func() error {
			// Masters that end meanwhile are started between two attempts.
			ctx, cancel := context.WithTimeout(n.t.Context(), 3*time.Second)
			defer cancel()
			_, err := n.admin.RemovePeer(ctx, n.Name(i))
			if err != nil && strings.Contains(err.Error(), "not a member") {
				return nil // an attempt with an unknown outcome removed it
			}
			return err
		})
		n.dead = -1
		n.run(i)
	}
}

// finish checks that all masters have the same state, with every mount of every step at
// its final epoch.
func (n *nemesis) finish() {
	view, err := n.admin.View(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, m := range view.GetMounts() {
		found[m.GetPath()] = m.GetEpoch()
	}
	for path, epoch := range n.epochs {
		if found[path] < epoch {
			n.t.Errorf("%s has epoch %d, after %d was acknowledged", path, found[path], epoch)
		}
	}
	n.eventually("the masters are equal", func() error {
		var all []*masterv1.StatusResponse
		for _, m := range n.admin.Members(n.t.Context()) {
			if m.Err != nil {
				return m.Err
			}
			all = append(all, m.Status)
		}
		return compareDigests(n.cluster, all)
	})
	n.eventually("the logs are verified", func() error {
		v := n.admin.Verify(n.t.Context())
		if v.Differ() {
			n.t.Fatalf("the masters differ: %+v", v)
		}
		if !v.Sound() {
			return fmt.Errorf("members %+v", v.Members)
		}
		return nil
	})
}

// readAt reads at one master for the whole step, whether it leads or not, and waits for
// responses longer than a pause lasts. A leader that was paused, and is not the leader
// any more, has such a request waiting when it continues: its response must not be
// older than the request. Refusals and timeouts are no results.
func (n *nemesis) readAt(s *stream, client, i int) {
	identity := n.Issue(mtls.Peer{Role: mtls.Admin, Name: fmt.Sprintf("reader-at-%d", i)})
	conn, err := identity.Dial(n.Topology.Masters[i].Address(), mtls.Master, n.Name(i))
	if err != nil {
		n.t.Fatal(err)
	}
	s.alongside(func(ctx context.Context) {
		defer conn.Close()
		for ; ctx.Err() == nil; time.Sleep(s.pace) {
			mtls.Reconnect(conn)
			call := time.Since(s.begin)
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			response, err := masterv1.NewCoordinationClient(conn).GetView(limited, &masterv1.GetViewRequest{})
			cancel()
			if err != nil {
				moment() // it does not lead
				continue
			}
			for _, m := range response.GetView().GetMounts() {
				if m.GetPath() == s.path {
					s.record(client, reading, call, m.GetEpoch())
				}
			}
		}
	})
}
