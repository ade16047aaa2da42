package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// twoTiers opens a store with two tiers. hang makes every one of the operations
// on the second one hang, until the function that it returns is called. Until then its
// operations have the timeout.
func twoTiers(t *testing.T, timeout time.Duration, change ...func(*Config)) (s *Store, hang func(ops ...string) (release func())) {
	t.Helper()
	files := &faulty{}
	config := testConfig(t, func(c *Config) {
		c.Tiers = append(c.Tiers, Tier{Medium: "SSD", Path: t.TempDir(), Quota: c.Tiers[0].Quota, Floor: 1})
		c.Files, c.Retry = files, time.Nanosecond
	})
	for _, f := range change {
		f(&config)
	}
	hung := config.Tiers[1].Path
	s = open(t, config)
	hang = func(ops ...string) func() {
		setTimeout(s.tiers[1], timeout)
		gate := make(chan struct{})
		files.set(func(op, path string) error {
			if slices.Contains(ops, op) && strings.HasPrefix(path, hung) {
				<-gate
			}
			return nil
		})
		var once sync.Once
		release := func() {
			once.Do(func() {
				setTimeout(s.tiers[1], forever)
				files.set(nil)
				close(gate)
			})
		}
		t.Cleanup(release)
		return release
	}
	return s, hang
}

// placed returns a name whose version belongs on one of two tiers of equal
// quotas while both are writable.
func placed(s *Store, o *origin, prefix string, tier int) string {
	quota := s.tiers[0].Quota
	for i := 0; ; i++ {
		name := fmt.Sprint(prefix, i)
		h := o.key(name).hash()
		if int64(binary.LittleEndian.Uint64(h[8:])%uint64(2*quota))/quota == int64(tier) {
			return name
		}
	}
}

// onDisk reads an object until it is sealed, then without a fetch.
func onDisk(t *testing.T, s *Store, o *origin, name string) {
	t.Helper()
	eventually(t, name+" is sealed", func() bool {
		s.mu.Lock()
		v := s.versions[o.key(name).hash()]
		sealed := v != nil && v.sealed
		s.mu.Unlock()
		if !sealed { // A busy machine may have delayed the disk: the blocks were not cached.
			s.dropStale(s.config.Now().Add(2 * lingerFor))
			mustRead(t, s, o, name, 0, int64(len(o.data)), o.fetch)
		}
		return sealed
	})
	mustRead(t, s, o, name, 0, int64(len(o.data)), nil)
}

// healthy waits until a tier is in use.
func healthy(t *testing.T, s *Store, tier int) {
	t.Helper()
	eventually(t, "the tier is in use", func() bool { s.tickTier(s.tiers[tier]); return s.Stats().Tiers[tier].Err == nil })
}

// TestHungTierHurtsItselfOnly hangs one of two tiers, before any timeout has
// noticed it: what is on the other tier is read, what is new and belongs there
// is written and sealed there, and the rest is read from the store.
func TestHungTierHurtsItselfOnly(t *testing.T) {
	for _, ops := range [][]string{{"write"}, {"sync"}, {"create"}, {"write", "sync", "remove", "free", "create"}} {
		t.Run(strings.Join(ops, "+"), func(t *testing.T) {
			s, hang := twoTiers(t, forever)
			o := newOrigin(5, 300_000)
			before := [2]string{placed(s, o, "before", 0), placed(s, o, "before", 1)}
			for _, name := range before {
				mustRead(t, s, o, name, 0, 300_000, o.fetch)
				onDisk(t, s, o, name)
			}
			release := hang(ops...)
			// As many as the dirty budget of the tier that hangs, and more.
			for i := range 8 {
				hung := placed(s, o, fmt.Sprint("hung", i, "-"), 1)
				mustRead(t, s, o, hung, 0, 300_000, o.fetch)
			}
			for i := range 8 {
				other := placed(s, o, fmt.Sprint("other", i, "-"), 0)
				mustRead(t, s, o, other, 0, 300_000, o.fetch)
				onDisk(t, s, o, other)
			}
			for _, name := range before {
				mustRead(t, s, o, name, 0, 300_000, nil)
			}
			release()
			settled(t, s)
			checkAccounts(t, s)
		})
	}
}

// TestHungTierIsLeft checks that after the timeout everything new goes to the
// other tier, that blocks waiting for the disk do not keep their memory, and
// that the tier is used again once nothing hangs.
func TestHungTierIsLeft(t *testing.T) {
	for _, op := range []string{"write", "sync", "read", "open", "close"} {
		t.Run(op, func(t *testing.T) {
			s, hang := twoTiers(t, 100*time.Millisecond)
			o := newOrigin(5, 300_000)
			mine, other := placed(s, o, "before", 1), placed(s, o, "before", 0)
			for _, name := range []string{mine, other} {
				mustRead(t, s, o, name, 0, 300_000, o.fetch)
				onDisk(t, s, o, name)
			}
			late := placed(s, o, "late", 1)
			release := hang(op)
			for i := range 4 {
				mustRead(t, s, o, placed(s, o, fmt.Sprint("hung", i, "-"), 1), 0, 300_000, o.fetch)
			}
			mustRead(t, s, o, mine, 0, 300_000, o.fetch)
			eventually(t, "the tier reports that it hangs", func() bool { s.tick(); return errors.Is(s.Stats().Tiers[1].Err, errHung) })
			healthy(t, s, 0)
			mustRead(t, s, o, late, 0, 300_000, o.fetch)
			onDisk(t, s, o, late)
			s.mu.Lock()
			v := s.versions[o.key(late).hash()]
			s.mu.Unlock()
			if v == nil || v.tier != s.tiers[0] {
				t.Error("a new version is on the tier that hangs")
			}
			mustRead(t, s, o, other, 0, 300_000, nil)
			for range 3 { // It must not be taken back while the operation hangs.
				s.tick()
				if s.Stats().Tiers[1].Err == nil {
					t.Fatal("the tier was taken back while an operation hangs")
				}
			}
			release()
			eventually(t, "the tier is used again", func() bool { s.tick(); return s.Stats().Tiers[1].Err == nil })
			settled(t, s)
			mustRead(t, s, o, mine, 0, 300_000, o.fetch)
			settled(t, s)
			s.tick()
			checkAccounts(t, s)
		})
	}
}

// TestHungTierAtStart opens a store of which one tier cannot be scanned.
func TestHungTierAtStart(t *testing.T) {
	files := &faulty{}
	config := testConfig(t, func(c *Config) {
		c.Tiers = append(c.Tiers, Tier{Medium: "SSD", Path: t.TempDir(), Quota: c.Tiers[0].Quota, Floor: 1})
		c.Files, c.Retry = files, time.Nanosecond
	})
	s, err := Open(config)
	must(t, err)
	healthy(t, s, 0)
	healthy(t, s, 1)
	o := newOrigin(5, 300_000)
	mine, other := placed(s, o, "a", 1), placed(s, o, "a", 0)
	for _, name := range []string{mine, other} {
		mustRead(t, s, o, name, 0, 300_000, o.fetch)
		onDisk(t, s, o, name)
	}
	shut(t, s)
	gate := make(chan struct{})
	files.set(func(op, path string) error {
		if op == "readdir" && strings.HasPrefix(path, config.Tiers[1].Path) {
			<-gate
		}
		return nil
	})
	config.DiskTimeout = 100 * time.Millisecond
	s = open(t, config)
	setTimeout(s.tiers[0], forever)
	healthy(t, s, 0)
	mustRead(t, s, o, other, 0, 300_000, nil)
	mustRead(t, s, o, mine, 0, 300_000, o.fetch)
	onDisk(t, s, o, mine) // on the other tier
	setTimeout(s.tiers[1], forever)
	files.set(nil)
	close(gate)
	eventually(t, "the tier is loaded", func() bool { s.tick(); return s.Stats().Tiers[1].Err == nil })
	settled(t, s)
	checkAccounts(t, s)
}

// TestHungUnlink checks that removing files from a tier that hangs holds up
// neither an eviction on the other nor a reader.
func TestHungUnlink(t *testing.T) {
	s, hang := twoTiers(t, 100*time.Millisecond, func(c *Config) {
		for i := range c.Tiers {
			c.Tiers[i].Quota = 4 << 20
		}
	})
	o := newOrigin(5, 300_000)
	for i := range 20 {
		mustRead(t, s, o, fmt.Sprint(i), 0, 300_000, o.fetch)
		onDisk(t, s, o, fmt.Sprint(i)) // what is not written yet has no file to remove
	}
	release := hang("remove")
	for i := range 20 {
		s.Forget("m1", fmt.Sprint(i))
	}
	eventually(t, "the tier reports that it hangs", func() bool { s.tick(); return errors.Is(s.Stats().Tiers[1].Err, errHung) })
	for i := range 40 {
		name := fmt.Sprint("more", i)
		mustRead(t, s, o, name, 0, 300_000, o.fetch)
		onDisk(t, s, o, name)
	}
	release()
	eventually(t, "the tier is used again", func() bool { s.tick(); return s.Stats().Tiers[1].Err == nil })
	settled(t, s)
	s.tick()
	checkAccounts(t, s)
}
