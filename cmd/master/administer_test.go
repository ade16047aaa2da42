package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// TestRemovePeer: a master that is lost for good is removed; one that responds is not.
func TestRemovePeer(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	c.mount("/data")
	lost := (c.leader() + 1) % 3
	if _, err := c.admin.RemovePeer(t.Context(), c.Name(lost)); err == nil || !strings.Contains(err.Error(), "would join again") {
		t.Fatalf("a master that responds: %v", err)
	}
	if _, err := c.client(mtls.Peer{Role: mtls.Worker, Name: "w-0"}).RemovePeer(t.Context(), c.Name(lost)); err == nil {
		t.Fatal("a worker removed a master")
	}
	c.end(lost, syscall.SIGKILL)
	c.Wipe(lost)
	c.eventually("the lost master is removed", func() error {
		id, err := c.admin.RemovePeer(t.Context(), c.Name(lost))
		if err == nil && !strings.HasPrefix(id, c.Name(lost)) {
			t.Fatalf("%s was removed", id)
		}
		return err
	})
	c.mount("/more")
	c.start(lost, "--formed")
	c.settled()
	sameDigest(c)
}

// TestVerifyWhileCommandsRun compares the masters under load, then finds a damaged
// log of one of them.
func TestVerifyWhileCommandsRun(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	s := startStream(c, "/data", 2, 1)
	for range 3 {
		s.awaitProgress(c)
		c.eventually("the masters are compared", func() error {
			v := c.admin.Verify(t.Context())
			if v.Differ() {
				t.Fatalf("the masters differ: %+v", v)
			}
			for _, m := range v.Members {
				if m.Err != nil || m.Checksum == "" || m.Digest == "" {
					return fmt.Errorf("%s: %q, %q, %w", m.Name, m.Checksum, m.Digest, m.Err)
				}
			}
			return nil
		})
	}
	s.finish(c)
	last := func() (all []*masterv1.Verification) {
		t.Helper()
		for _, m := range c.admin.Members(t.Context()) {
			if m.Err != nil {
				t.Fatal(m.Err)
			}
			all = append(all, m.Status.GetVerification())
		}
		return all
	}
	for i, v := range last() {
		if v.GetResult() != masterv1.Verification_RESULT_EQUAL || v.GetTime() == nil || v.GetLast() == 0 {
			t.Errorf("the last verification of %s is %v", c.Name(i), v)
		}
	}
	worker := c.client(mtls.Peer{Role: mtls.Worker, Name: "w-0"})
	for _, m := range worker.Verify(t.Context()).Members {
		if m.Err == nil {
			t.Errorf("a worker read the log of %s", m.Name)
		}
	}
	for i, v := range last() {
		if v.GetResult() != masterv1.Verification_RESULT_EQUAL {
			t.Errorf("%s has recorded %v of a worker", c.Name(i), v)
		}
	}
	damaged := (c.leader() + 1) % 3
	damageLog(t, filepath.Join(c.DataDir(damaged), "member", "raft.db"))
	c.eventually("only the damaged log is reported", func() error {
		for i, m := range c.admin.Verify(t.Context()).Members {
			if (m.Err != nil) != (i == damaged) {
				return fmt.Errorf("%s: %w", m.Name, m.Err)
			}
		}
		return nil
	})
	for i, v := range last() {
		if v.GetResult() != masterv1.Verification_RESULT_INCOMPLETE || len(v.GetFailed()) != 1 || v.GetFailed()[0] != c.Name(damaged) {
			t.Errorf("the last verification of %s is %v", c.Name(i), v)
		}
	}
}

// damageLog changes bytes of every command that the file of a log holds.
func damageLog(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := 0
	for at := range raw {
		if at+5 < len(raw) && string(raw[at:at+5]) == "/data" {
			if _, err := file.WriteAt([]byte("/dbta"), int64(at)); err != nil {
				t.Fatal(err)
			}
			found++
		}
	}
	if found == 0 {
		t.Fatal("the log has no command")
	}
}
