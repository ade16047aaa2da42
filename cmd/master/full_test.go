package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// fullVolume mounts a small file system at the data directory of a master.
func fullVolume(t *testing.T, c *cluster, i int, size string) string {
	t.Helper()
	at := c.DataDir(i)
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", at).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a file system: %s", out)
	}
	t.Cleanup(func() {
		c.stopAll()
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %s", at, out)
		}
	})
	return at
}

// fill writes a file until the file system is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return // there is no space for a name
	}
	defer file.Close()
	for block := make([]byte, 64<<10); len(block) > 0; block = block[:len(block)/2] {
		for err = nil; err == nil; {
			_, err = file.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// tryMount adds a mount with options of a size, within a few seconds.
func (c *cluster) tryMount(name string, size int) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	options := map[string]string{}
	for i := range size / 4000 {
		options[fmt.Sprint("o", i)] = strings.Repeat("x", 4000)
	}
	_, _, err := c.admin.Mount(ctx, &commonv1.Mount{Name: name, Path: "/" + name, Uri: "oss://bucket/", Options: options})
	return err
}

// refused waits until a command is refused because of the disk.
func (c *cluster) refused() {
	c.t.Helper()
	c.eventually("a command is refused", func() error {
		if err := c.tryMount("refused", 0); err == nil || !strings.Contains(err.Error(), "full") {
			return fmt.Errorf("a command: %w", errors.Join(errors.New("not refused"), err))
		}
		return nil
	})
}

// holds fails the test unless every mount that was acknowledged is there.
func (c *cluster) holds(acknowledged []string) {
	c.t.Helper()
	c.eventually("the view is read", func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
		defer cancel()
		view, err := c.admin.View(ctx)
		if err != nil {
			return err
		}
		found := map[string]bool{}
		for _, m := range view.GetMounts() {
			found[m.GetName()] = true
		}
		for _, name := range acknowledged {
			if !found[name] {
				c.t.Fatalf("mount %s was acknowledged, and is lost", name)
			}
		}
		return nil
	})
}

// Another user of the volume fills it to the last byte, again and again.
func TestAMasterOnAFullVolume(t *testing.T) {
	c := newCluster(t, 1)
	at := fullVolume(t, c, 0, "24m")
	c.start(0)
	c.settled()
	acknowledged := []string{"a", "b"}
	for _, name := range acknowledged {
		if err := c.tryMount(name, 0); err != nil {
			t.Fatal(err)
		}
	}
	filler := filepath.Join(at, "another-user")
	fill(t, filler)
	c.refused()
	for range 3 {
		fill(t, filler)
		c.end(0, syscall.SIGKILL)
		fill(t, filler)
		c.start(0, "--formed")
		c.settled()
		c.holds(acknowledged)
		c.refused()
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	c.eventually("commands are accepted", func() error { return c.tryMount("c", 0) })
	c.holds(append(acknowledged, "c"))
}

// The commands themselves fill the volume.
func TestCommandsFillTheVolume(t *testing.T) {
	c := newCluster(t, 1)
	at := fullVolume(t, c, 0, "8m")
	c.start(0)
	c.settled()
	var acknowledged []string
	// Space may be free again after a start, because a snapshot shortened the log.
	fillUp := func() {
		for {
			name := fmt.Sprint("m", len(acknowledged))
			if err := c.tryMount(name, 240_000); err != nil {
				if !strings.Contains(err.Error(), "full") {
					t.Fatalf("after %d mounts: %v", len(acknowledged), err)
				}
				return
			}
			acknowledged = append(acknowledged, name)
		}
	}
	fillUp()
	if len(acknowledged) == 0 {
		t.Fatal("no mount fits on the volume")
	}
	for range 2 {
		c.end(0, syscall.SIGKILL)
		c.start(0, "--formed")
		c.settled()
		c.holds(acknowledged)
		fillUp()
	}
	if out, err := exec.Command("mount", "-o", "remount,size=64m", at).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	c.eventually("commands are accepted", func() error { return c.tryMount("after", 240_000) })
	c.holds(append(acknowledged, "after"))
}
