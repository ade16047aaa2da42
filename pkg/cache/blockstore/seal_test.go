package blockstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestSealVerifiesBlocksKeptOverARestart damages a block of an incomplete version
// while the store is closed: completing the version does not seal it with the
// damaged block.
func TestSealVerifiesBlocksKeptOverARestart(t *testing.T) {
	config := testConfig(t)
	s, err := Open(config)
	must(t, err)
	o := newOrigin(8, 250_000)
	half := 2 * config.BlockSize
	mustRead(t, s, o, "a", 0, half, o.fetch)
	settled(t, s)
	path := s.versions[o.key("a").hash()].dataPath()
	shut(t, s)
	spoil(t, path, 100)
	s = open(t, config)
	mustRead(t, s, o, "a", half, 250_000-half, o.fetch)
	eventually(t, "the damaged file is discarded", func() bool {
		if loan, err := s.Lend(o.key("a")); err == nil {
			loan.Return()
			t.Fatal("a file with a damaged block was lent")
		}
		return s.Stats().Discarded == 1
	})
	mustRead(t, s, o, "a", 0, 250_000, o.fetch)
	settled(t, s)
	checkAccounts(t, s)
}

// TestVersionWrittenWhole fails each step of the write of a small version while a
// reader has it open: it is never lent or found with wrong bytes, and is cached
// once the fault is over.
func TestVersionWrittenWhole(t *testing.T) {
	for _, step := range []string{"create .data", "write .data", "sync .data", "create .meta", "write .meta", "close .meta"} {
		t.Run(step, func(t *testing.T) {
			// The tier is retried when the clock advances only.
			files, clock := &faulty{}, newClock()
			config := testConfig(t, func(c *Config) { c.Files, c.Now = files, clock.Now })
			s, err := Open(config)
			must(t, err)
			op, suffix, _ := strings.Cut(step, " ")
			files.set(on(op, suffix, errDisk))
			o := newOrigin(8, 100_000)
			r, err := s.Read(t.Context(), Request{Key: o.key("a"), Length: 100_000, Fetch: o.fetch})
			must(t, err)
			var got bytes.Buffer
			_, err = r.Copy(t.Context(), &got)
			must(t, err)
			eventually(t, "the failure is reported", func() bool { return s.Stats().Tiers[0].Err != nil })
			if loan, err := s.Lend(o.key("a")); err == nil {
				loan.Return()
				t.Error("a version was lent whose write failed")
			}
			files.set(nil)
			must(t, r.Close())
			retried(t, s, clock, 0)
			mustRead(t, s, o, "a", 0, 100_000, o.fetch)
			onDisk(t, s, o, "a")
			checkAccounts(t, s)
			shut(t, s)
			s = open(t, config)
			mustRead(t, s, o, "a", 0, 100_000, nil)
		})
	}
}

// TestTornWholeSidecar cuts and damages a sidecar that was written at once, at each
// slot: what is left is never a seal without all blocks, and never wrong bytes.
func TestTornWholeSidecar(t *testing.T) {
	config := testConfig(t)
	s, err := Open(config)
	must(t, err)
	o := newOrigin(8, 250_000)
	mustRead(t, s, o, "a", 0, 250_000, o.fetch)
	settled(t, s)
	path := s.versions[o.key("a").hash()].metaPath()
	shut(t, s)
	whole, err := os.ReadFile(path)
	must(t, err)
	if m, err := decodeMeta(whole); err != nil || !m.sealed {
		t.Fatalf("the sidecar is not sealed: %v", err)
	}
	for n := range whole {
		torn := slices.Concat(whole[:n], make([]byte, len(whole)-n))
		m, err := decodeMeta(torn)
		if err == nil && m.sealed && !bytes.Equal(torn, whole) {
			t.Errorf("cut at %d of %d bytes, the sidecar is still sealed", n, len(whole))
		}
		if err != nil && !errors.Is(err, errMeta) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// counting counts the operations on files.
type counting struct {
	mu  sync.Mutex
	ops map[string]int
}

func (c *counting) check(op, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops[op]++
	return nil
}

// TestOperationsOfASmallVersion counts the operations on files that the caching of
// small versions takes.
func TestOperationsOfASmallVersion(t *testing.T) {
	files, c := &faulty{}, &counting{ops: map[string]int{}}
	s := open(t, testConfig(t, func(config *Config) { config.Files = files }))
	o := newOrigin(8, 10_000)
	files.set(c.check)
	const versions = 20
	for i := range versions {
		name := fmt.Sprint(i)
		mustRead(t, s, o, name, 0, 10_000, o.fetch)
	}
	settled(t, s)
	files.set(nil)
	// A reader that was slower than the disk reads the file itself.
	byReaders := int(s.Stats().DiskBytes / 10_000)
	for op, most := range map[string]int{
		"create": 2 * versions, "open": byReaders, "write": 2 * versions, "sync": versions, "read": byReaders, "truncate": 0,
	} {
		if got := c.ops[op]; got > most {
			t.Errorf("%d operations %q for %d versions, want at most %d", got, op, versions, most)
		}
	}
}
