package consensus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// quick makes members fail over in half a second, and compact their logs often.
func quick(c *Config) {
	c.Heartbeat, c.Election, c.Lease = 250*time.Millisecond, 250*time.Millisecond, 200*time.Millisecond
	c.sizes = sizes{trailing: 30, threshold: 20, interval: 30 * time.Millisecond}
}

// TestSweepOfOneOfThree stops one of three members, damages its directory while
// the others acknowledge commands, and starts it. It must continue, or join as a
// new member, and every member must hold every acknowledged command.
func TestSweepOfOneOfThree(t *testing.T) {
	rounds := 60
	if os.Getenv("JINDO_LONG") != "" {
		rounds = 600
	}
	r := rand.New(rand.NewPCG(sweepSeed(t), 3))
	c := newCluster(t, 3, quick)
	c.startAll()
	c.whole()
	found := outcomes{}
	var acknowledged []string
	propose := func(command string) {
		c.propose(command)
		acknowledged = append(acknowledged, command)
	}
	for i := range rounds {
		propose(fmt.Sprintf("%d before", i))
		leader := c.leader()
		target, class := (leader+1+i%2)%3, sweepClasses[i%len(sweepClasses)]
		if i%10 == 9 {
			target = leader
		}
		id := c.id(target)
		c.kill(target)
		h := memberDir{c.DataDir(target)}
		what, err := newDamager(t, r, h).damage(class)
		if err != nil {
			t.Fatal(err)
		}
		propose(fmt.Sprintf("%d meanwhile", i))
		c.eventually(fmt.Sprintf("start %s after %s, %s", c.Name(target), class, what), func() error {
			_, err := c.tryStart(target)
			var spoiled *DamageError
			if err != nil && !errors.As(err, &spoiled) {
				t.Fatalf("%s, %s: %v", class, what, err)
			}
			return err
		})
		c.whole()
		propose(fmt.Sprintf("%d after", i))
		c.agree(acknowledged...)
		if c.id(target) != id {
			found.add(class, "set aside and rejoined")
		} else {
			found.add(class, "continued")
		}
		if aside, err := filepath.Glob(filepath.Join(h.dir, "aside-*")); err != nil || len(aside) > asideKept {
			t.Fatalf("%d directories are kept, %v", len(aside), err)
		}
	}
	t.Log(found.table())
}
