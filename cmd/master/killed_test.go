package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// TestKillsUnderLoadAreNoDamage kills an only master repeatedly while clients
// write, between any two of its writes. It must start each time, with everything
// that it acknowledged.
func TestKillsUnderLoadAreNoDamage(t *testing.T) {
	rounds := 8
	if os.Getenv("JINDO_LONG") != "" {
		rounds = 100
	}
	c := newCluster(t, 1)
	c.start(0, "--heartbeat-timeout=200ms", "--election-timeout=200ms", "--lease-timeout=100ms")
	c.leader()
	var mu sync.Mutex
	var acknowledged []string
	for round := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		before := len(acknowledged)
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					path := fmt.Sprintf("/%d-%d-%d", round, w, i)
					if _, _, err := c.admin.Mount(ctx, &commonv1.Mount{Name: path[1:], Path: path, Uri: "oss://bucket" + path + "/", ReadOnly: true}); err != nil {
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, path)
					mu.Unlock()
				}
			})
		}
		c.eventually("a command is acknowledged", func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(acknowledged) == before {
				return errors.New("none is")
			}
			return nil
		})
		time.Sleep(time.Duration(7*round) * time.Millisecond)
		c.end(0, syscall.SIGKILL)
		cancel()
		writers.Wait()
		c.start(0, "--formed", "--heartbeat-timeout=200ms", "--election-timeout=200ms", "--lease-timeout=100ms")
		c.leader()
		if log := c.processes[0].log.String(); strings.Contains(log, "damage") {
			t.Fatalf("after %d kills:\n%s", round+1, log)
		}
	}
	view, err := c.admin.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range view.GetMounts() {
		found = append(found, m.GetPath())
	}
	for _, path := range acknowledged {
		if !slices.Contains(found, path) {
			t.Errorf("%s is lost", path)
		}
	}
}
