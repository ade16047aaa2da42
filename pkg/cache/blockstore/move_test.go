package blockstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMovesUnderReaders moves versions up and down while others read them, read lent
// files and read through descriptors that were opened before: every byte is right, no
// read needs a fetch once all is cached, and no tier exceeds its quota.
func TestMovesUnderReaders(t *testing.T) {
	c := newClock()
	s := open(t, twoLevels(t, c))
	all := names("moved", 24)
	o := newOrigin(8, 250_000)
	fill(t, s, all...)
	var done atomic.Bool
	var moves, lent atomic.Int64
	var readers, movers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 9))
			for !done.Load() {
				name := all[r.IntN(len(all))]
				offset := r.Int64N(250_000)
				mustRead(t, s, o, name, offset, min(1+r.Int64N(100_000), 250_000-offset), nil)
				if loan, err := s.Lend(o.key(name)); err == nil {
					lent.Add(1)
					checkLoan(t, loan, o)
					loan.Return()
				}
			}
		})
	}
	for i := range 2 {
		movers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for range 150 {
				s.mu.Lock()
				v := s.versions[o.key(all[r.IntN(len(all))]).hash()]
				to := s.tiers[1-slices.Index(s.tiers, v.tier)]
				if v.movable() && to.expected()+v.full <= to.Quota && s.move(v, to) {
					moves.Add(1)
				}
				for _, tier := range s.tiers {
					if tier.used > tier.Quota {
						t.Errorf("%s uses %d of %d", tier.Medium, tier.used, tier.Quota)
					}
				}
				s.mu.Unlock()
			}
		})
	}
	movers.Wait()
	done.Store(true)
	readers.Wait()
	if moves.Load() == 0 || lent.Load() == 0 {
		t.Errorf("%d moves and %d loans: the test proves nothing", moves.Load(), lent.Load())
	}
	if stats := s.Stats(); stats.Discarded != 0 || stats.Misses != 24 || stats.Lent != 0 {
		t.Errorf("%d versions are discarded, %d misses, %d loans are left", stats.Discarded, stats.Misses, stats.Lent)
	}
	rested(t, s)
	checkAccounts(t, s)
}

// checkLoan reads a lent file through its descriptor.
func checkLoan(t *testing.T, loan *Loan, o *origin) {
	t.Helper()
	got := make([]byte, len(o.data))
	if n, err := unix.Pread(int(loan.Fd()), got, 0); err != nil || n != len(got) || !bytes.Equal(got, o.data) {
		t.Errorf("reading a lent file: %d bytes of %d, %v", n, len(got), err)
	}
}

// TestLentFilesOutliveMoves checks that a borrower reads on from the file that was
// moved, that it is not told to return it, that its bytes stay charged until then, and
// that its use counts for the version in its new tier.
func TestLentFilesOutliveMoves(t *testing.T) {
	c := newClock()
	s := open(t, twoLevels(t, c))
	o := newOrigin(8, 250_000)
	fill(t, s, "lent")
	loan, err := s.Lend(o.key("lent"))
	must(t, err)
	var revoked atomic.Int64
	loan.OnRevoke(func() { revoked.Add(1) })
	s.mu.Lock()
	v := s.versions[o.key("lent").hash()]
	moved := s.move(v, s.tiers[0])
	s.mu.Unlock()
	if !moved || mediumOf(s, "lent") != "SSD" {
		t.Fatalf("moved %v to %q", moved, mediumOf(s, "lent"))
	}
	checkLoan(t, loan, o)
	if used := s.Stats().Tiers[1].Used; used != objectBytes {
		t.Errorf("the lent file is charged %d, want %d", used, objectBytes)
	}
	c.pass(2 * correlated)
	loan.Used(1, 10)
	eventually(t, "its use moves the version up", func() bool { return mediumOf(s, "lent") == "MEM" })
	rested(t, s)
	if used := s.Stats().Tiers[1].Used; used != 2*objectBytes {
		t.Errorf("the lent file and the version are charged %d, want %d", used, 2*objectBytes)
	}
	second, err := s.Lend(o.key("lent"))
	must(t, err)
	checkLoan(t, second, o)
	second.Return()
	checkLoan(t, loan, o)
	loan.Return()
	if revoked.Load() != 0 {
		t.Error("the loan was revoked")
	}
	checkAccounts(t, s)
}

// TestDamagedVersionIsNotMoved checks that wrong bytes on the disk are not copied: the
// version is discarded and fetched again.
func TestDamagedVersionIsNotMoved(t *testing.T) {
	c := newClock()
	s := open(t, twoLevels(t, c))
	o := newOrigin(8, 250_000)
	fill(t, s, "a")
	s.mu.Lock()
	v := s.versions[o.key("a").hash()]
	s.mu.Unlock()
	f, err := os.OpenFile(v.dataPath(), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("wrong"), 200_000)
	must(t, errors.Join(err, f.Close()))
	s.mu.Lock()
	moved := s.move(v, s.tiers[0])
	s.mu.Unlock()
	if moved || mediumOf(s, "a") != "" {
		t.Errorf("moved %v, the version is in %q", moved, mediumOf(s, "a"))
	}
	mustRead(t, s, o, "a", 0, 250_000, o.fetch)
	settled(t, s)
	if stats := s.Stats(); stats.Tiers[0].Err != nil || stats.Tiers[1].Err != nil || stats.Discarded != 1 {
		t.Errorf("the tiers report %v and %v, %d are discarded", stats.Tiers[0].Err, stats.Tiers[1].Err, stats.Discarded)
	}
	checkAccounts(t, s)
}

// TestDiskErrorsDuringMoves checks that an error of one disk leaves the version where
// it is, takes only the tier of that disk out of use, and leaves no file behind.
func TestDiskErrorsDuringMoves(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "free space", "sidecar", "hang"} {
		t.Run(op, func(t *testing.T) {
			files, c := &faulty{}, newClock()
			s := open(t, twoLevels(t, c, func(config *Config) {
				config.Files, config.Retry = files, time.Nanosecond
			}))
			o := newOrigin(8, 250_000)
			fill(t, s, "a", "b")
			ssd, gate := s.tiers[0].Path, make(chan struct{})
			files.set(func(doing, path string) error {
				switch {
				case !strings.HasPrefix(path, ssd):
				case op == "hang" && doing == "write":
					<-gate
				case op == "free space" && doing == "write":
					return syscall.ENOSPC
				case op == "sidecar" && doing == "write" && strings.HasSuffix(path, ".meta"),
					op == doing:
					return syscall.EIO
				}
				return nil
			})
			if op == "hang" {
				setTimeout(s.tiers[0], 100*time.Millisecond)
			}
			s.mu.Lock()
			moved := s.move(s.versions[o.key("a").hash()], s.tiers[0])
			s.mu.Unlock()
			setTimeout(s.tiers[0], forever)
			if moved || mediumOf(s, "a") != "MEM" {
				t.Fatalf("moved %v, the version is in %q", moved, mediumOf(s, "a"))
			}
			if stats := s.Stats(); stats.Tiers[0].Err == nil || stats.Tiers[1].Err != nil {
				t.Errorf("the tiers report %v and %v", stats.Tiers[0].Err, stats.Tiers[1].Err)
			}
			mustRead(t, s, o, "a", 0, 250_000, nil)
			fill(t, s, "c")
			if got := mediumOf(s, "c"); got != "MEM" {
				t.Errorf("a new version is in %q", got)
			}
			files.set(nil)
			close(gate)
			eventually(t, "the disk is used again", func() bool { c.pass(time.Second); s.tick(); return s.Stats().Tiers[0].Err == nil })
			s.tick()
			checkAccounts(t, s)
		})
	}
}

// TestFailedTierIsLeftAlone checks that versions are neither moved to nor demoted into a
// tier that fails, and that the others serve on.
func TestFailedTierIsLeftAlone(t *testing.T) {
	files, c := &faulty{}, newClock()
	s := open(t, twoLevels(t, c, func(config *Config) { config.Files, config.Retry = files, time.Hour }))
	o := newOrigin(8, 250_000)
	cold, hot := names("cold", 8), names("hot", 8)
	fill(t, s, cold...)
	fill(t, s, hot...)
	mem := s.tiers[1].Path
	files.set(func(op, path string) error {
		if strings.HasPrefix(path, mem) && op != "read" && op != "open" && op != "close" {
			return syscall.EIO
		}
		return nil
	})
	c.pass(2 * correlated)
	for _, name := range hot { // The first promotion notices the error.
		mustRead(t, s, o, name, 0, 250_000, nil)
	}
	rested(t, s)
	more := names("more", 4)
	fill(t, s, more...)
	for _, name := range more {
		if got := mediumOf(s, name); got != "SSD" {
			t.Errorf("a new version is in %q", got)
		}
	}
	for _, name := range cold { // Nothing of it was lost but what had to give way first.
		mustRead(t, s, o, name, 0, 250_000, o.fetch)
	}
	if stats := s.Stats(); stats.Tiers[0].Err != nil || stats.Tiers[1].Err == nil {
		t.Errorf("the tiers report %v and %v", stats.Tiers[0].Err, stats.Tiers[1].Err)
	}
	files.set(nil)
}

// errCrashed is the error of every operation after the process was killed.
var errCrashed = errors.New("killed")

// TestCrashDuringMoves kills the store at each operation on the files of a move. After
// a restart the version is read from one of the tiers without a fetch, and no other
// file is left.
func TestCrashDuringMoves(t *testing.T) {
	for at := 1; ; at++ {
		if !crashDuringMove(t, at) {
			if at < 10 {
				t.Errorf("only %d operations: the test proves nothing", at)
			}
			return
		}
	}
}

// crashDuringMove lets the operation with a number and all later ones fail, and
// reports whether there was one.
func crashDuringMove(t *testing.T, at int) bool {
	t.Helper()
	files, c := &faulty{}, newClock()
	config := twoLevels(t, c, func(config *Config) { config.Files, config.Retry = files, time.Hour })
	s, err := Open(config)
	must(t, err)
	o := newOrigin(8, 250_000)
	fill(t, s, "a")
	var operations atomic.Int64
	files.set(func(op, path string) error {
		if strings.Contains(path, o.key("a").hash().String()) && operations.Add(1) >= int64(at) {
			return errCrashed
		}
		return nil
	})
	s.mu.Lock()
	s.move(s.versions[o.key("a").hash()], s.tiers[0])
	s.mu.Unlock()
	crashed := operations.Load() >= int64(at)
	shut(t, s)
	config.Files = nil
	s = open(t, config)
	mustRead(t, s, o, "a", 0, 250_000, nil)
	if got := filesIn(t, config); got != 2 {
		t.Errorf("operation %d: %d files are left, want the data and the sidecar", at, got)
	}
	checkAccounts(t, s)
	return crashed
}

// filesIn counts the files of versions in all tiers.
func filesIn(t *testing.T, config Config) int {
	t.Helper()
	n := 0
	for _, tier := range config.Tiers {
		must(t, filepath.WalkDir(tier.Path, func(path string, d fs.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(path, ".data") || strings.HasSuffix(path, ".meta")) {
				n++
			}
			return err
		}))
	}
	return n
}

// TestSealedCopyWinsAtStart checks that of two versions of a key, as a crash leaves them
// while a sidecar is written, the sealed one is kept, in any order of loading.
func TestSealedCopyWinsAtStart(t *testing.T) {
	for _, torn := range []int{0, 1} {
		t.Run(fmt.Sprint(torn), func(t *testing.T) {
			c := newClock()
			config := twoLevels(t, c)
			s, err := Open(config)
			must(t, err)
			o := newOrigin(8, 250_000)
			fill(t, s, "a")
			v := s.versions[o.key("a").hash()]
			from, to := v.dataPath(), filepath.Join(s.tiers[0].dir, v.hash.String()[:2], filepath.Base(v.dataPath()))
			shut(t, s)
			for _, suffix := range []string{".data", ".meta"} {
				copyFile(t, strings.TrimSuffix(from, ".data")+suffix, strings.TrimSuffix(to, ".data")+suffix)
			}
			broken := strings.TrimSuffix([]string{from, to}[torn], ".data") + ".meta"
			must(t, os.Truncate(broken, sealOffset(v.key)+3*slotSize)) // two of four blocks, and the seal
			s = open(t, config)
			mustRead(t, s, o, "a", 0, 250_000, nil)
			if got := filesIn(t, config); got != 2 {
				t.Errorf("%d files are left", got)
			}
			checkAccounts(t, s)
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, errors.Join(err, out.Close()))
}
