package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// log returns the path of a stopped master's log.
func (c *cluster) log(i int) string { return filepath.Join(c.DataDir(i), "member", "raft.db") }

// change changes the bytes of a file.
func change(t *testing.T, path string, change func(raw []byte)) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(raw)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// mounted returns an error unless the leader has exactly the mounts.
func (c *cluster) mounted(paths ...string) error {
	view, err := c.admin.View(c.t.Context())
	if err != nil {
		return err
	}
	var found []string
	for _, m := range view.GetMounts() {
		found = append(found, m.GetPath())
	}
	if strings.Join(found, " ") != strings.Join(paths, " ") {
		return fmt.Errorf("the mounts are %v", found)
	}
	return nil
}

// TestOneBitOfAnOnlyMastersLogLosesNothing stops an only master, flips one bit of
// its log, and starts it: the mount that it acknowledged last is there, or it
// does not serve and states the damage.
func TestOneBitOfAnOnlyMastersLogLosesNothing(t *testing.T) {
	for name, flip := range map[string]func(raw []byte){
		"the newest meta page": func(raw []byte) {
			page := 0
			if bytes.Compare(reversed(raw[os.Getpagesize()+64:][:8]), reversed(raw[64:72])) > 0 {
				page = 1
			}
			raw[page*os.Getpagesize()+72] ^= 1
		},
		"the last mount": func(raw []byte) {
			for at := bytes.Index(raw, []byte("/last")); at >= 0; at = bytes.Index(raw, []byte("/last")) {
				raw[at+1] ^= 1
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1)
			c.start(0)
			c.leader()
			c.mount("/first")
			c.mount("/last")
			c.end(0, syscall.SIGKILL)
			change(t, c.log(0), flip)
			c.start(0, "--formed")
			c.eventually("the mounts are there or the damage is stated", func() error {
				return either(contains(c, 0, "is damaged"), c.mounted("/first", "/last"))
			})
		})
	}
}

func reversed(p []byte) []byte {
	out := make([]byte, len(p))
	for i := range p {
		out[len(p)-1-i] = p[i]
	}
	return out
}

// either returns nil when one of two conditions holds.
func either(a, b error) error {
	if a == nil || b == nil {
		return nil
	}
	return errors.Join(a, b)
}

// TestAnOnlyMasterWithADamagedDiskStaysUp checks that it neither exits nor
// serves, that health checks and calls return the damage, and that it serves once
// the disk is repaired.
func TestAnOnlyMasterWithADamagedDiskStaysUp(t *testing.T) {
	c := newCluster(t, 1)
	c.start(0)
	c.leader()
	c.mount("/data")
	c.end(0, syscall.SIGTERM)
	sound, err := os.ReadFile(c.log(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(c.log(0), 0); err != nil {
		t.Fatal(err)
	}
	c.start(0, "--formed")
	c.eventually("/readyz states the damage", func() error { return contains(c, 0, "raft.db is damaged: the file is empty") })
	if code, _ := c.get(0, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz returned %d: the process would be restarted", code)
	}
	c.eventually("calls return the damage", func() error {
		for _, m := range c.admin.Members(t.Context()) {
			if m.Err == nil || !strings.Contains(m.Err.Error(), "is damaged") {
				return fmt.Errorf("status: %v, %w", m.Status, m.Err)
			}
		}
		return nil
	})
	if err := os.WriteFile(c.log(0), sound, 0o600); err != nil {
		t.Fatal(err)
	}
	c.leader()
	if err := c.mounted("/data"); err != nil {
		t.Fatal(err)
	}
	if state := c.end(0, syscall.SIGTERM); !state.Success() {
		t.Errorf("after SIGTERM the master exited with %s", state)
	}
}

// TestADamagedMasterOfThreeIsReplaced damages the log of one of three that is
// stopped. It joins as a new member without help.
func TestADamagedMasterOfThreeIsReplaced(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	before := c.settled()
	c.mount("/data")
	c.end(2, syscall.SIGKILL)
	change(t, c.log(2), func(raw []byte) { clear(raw[2*os.Getpagesize():]) })
	c.mount("/meanwhile")
	c.start(2, "--formed")
	after := c.settled()
	if before[2].GetMemberId() == after[2].GetMemberId() {
		t.Errorf("the damaged disk's id %s is in use", after[2].GetMemberId())
	}
	c.eventually("the mounts are there", func() error { return c.mounted("/data", "/meanwhile") })
	if _, err := os.Stat(filepath.Join(c.DataDir(2), "aside-"+before[2].GetMemberId(), "why.txt")); err != nil {
		t.Errorf("the damaged directory is not kept: %v", err)
	}
}
