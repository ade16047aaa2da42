package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// exited waits until a master has ended by itself.
func (c *cluster) exited(i int) {
	c.t.Helper()
	p := c.processes[i]
	select {
	case <-p.done:
	case <-time.After(waitTimeout):
		c.t.Fatalf("%s did not exit:\n%s", c.Name(i), p.log)
	}
	c.processes[i] = nil
}

// recoverCommand returns the command that recovers from the directory of a master.
func (c *cluster) recoverCommand(i int, more ...string) *exec.Cmd {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	args := append([]string{recoverCommand, "--name=" + c.Name(i), "--roster=" + c.rosterAt, "--data-dir=" + c.DataDir(i)}, more...)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), runMaster+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// formedWithMounts starts three masters with two mounts.
func formedWithMounts(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	c.mount("/data")
	c.mount("/more")
	sameDigest(c)
	return c
}

// servesAlone waits until the recovered master serves both mounts, with epochs that are
// newer than before.
func (c *cluster) servesAlone() {
	c.t.Helper()
	c.eventually("the survivor serves alone", func() error {
		view, err := c.admin.View(c.t.Context())
		if err == nil && (len(view.GetMounts()) != 2 || view.GetIndex() < 1<<40 || view.GetMounts()[0].GetEpoch() < 1<<40) {
			return fmt.Errorf("the view is %v", view)
		}
		return err
	})
}

// TestRecoverFromASurvivor: two of three disks are lost. The survivor describes the
// recovery, recovers and ends when it is confirmed, and the others join it.
func TestRecoverFromASurvivor(t *testing.T) {
	c := formedWithMounts(t)
	survivor := (c.leader() + 1) % 3
	if _, err := c.admin.Recover(t.Context(), c.Name(survivor), true); err == nil || !strings.Contains(err.Error(), "leads") {
		t.Fatalf("a cluster with a leader: %v", err)
	}
	if _, err := c.client(mtls.Peer{Role: mtls.Worker, Name: "w-0"}).Recover(t.Context(), c.Name(survivor), true); err == nil {
		t.Fatal("a worker recovered the cluster")
	}
	if _, err := c.admin.Recover(t.Context(), "m-9", true); err == nil || !strings.Contains(err.Error(), "not a master") {
		t.Fatalf("an unknown master: %v", err)
	}
	for i := range 3 {
		if i != survivor {
			c.end(i, syscall.SIGKILL)
			c.Wipe(i)
		}
	}
	c.eventually("the recovery is described", func() error {
		plan, err := c.admin.Recover(t.Context(), c.Name(survivor), false)
		if err == nil && len(plan.GetLost()) != 2 {
			t.Fatalf("the plan is %v", plan)
		}
		return err
	})
	if out, err := c.recoverCommand(survivor, "--yes").CombinedOutput(); err == nil || !strings.Contains(string(out), "another process uses it") {
		t.Fatalf("the directory of a running master: %v: %s", err, out)
	}
	if _, err := c.admin.Recover(t.Context(), c.Name(survivor), true); err != nil {
		t.Fatal(err)
	}
	c.exited(survivor)
	c.start(survivor, "--formed")
	c.servesAlone()
	for i := range 3 {
		if i != survivor {
			c.start(i, "--formed")
		}
	}
	c.settled()
	c.mount("/last")
	sameDigest(c)
}

// TestRecoverCommandIsKilled at any moment: the master starts, with all that it had, and
// the command may be repeated.
func TestRecoverCommandIsKilled(t *testing.T) {
	c := formedWithMounts(t)
	survivor := (c.leader() + 1) % 3
	for i := range 3 {
		c.end(i, syscall.SIGKILL)
	}
	if out, err := c.recoverCommand(survivor).CombinedOutput(); err != nil || !strings.Contains(string(out), "Nothing was changed") {
		t.Fatalf("describe: %v: %s", err, out)
	}
	for round := range 12 {
		cmd := c.recoverCommand(survivor, "--yes")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Anywhere between the start of the process and its end, as it happens.
		killed := time.AfterFunc(time.Duration(round*10)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		killed.Stop()
	}
	if out, err := c.recoverCommand(survivor, "--yes").CombinedOutput(); err != nil || !strings.Contains(string(out), "continues alone") {
		t.Fatalf("recover: %v: %s", err, out)
	}
	c.start(survivor, "--formed")
	c.servesAlone()
	// The others have their disks of the former epoch: each ends once, and joins then.
	for i := range 3 {
		if i != survivor {
			c.start(i, "--formed")
			c.exited(i)
			c.start(i, "--formed")
		}
	}
	c.settled()
	c.mount("/last")
	sameDigest(c)
}
