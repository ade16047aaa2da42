package reader

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// recallableFile is a file that its worker can recall.
type recallableFile struct {
	*lentFile
	mu     sync.Mutex
	idle   bool
	said   int
	wanted func()
}

func (f *recallableFile) CanBeIdle() bool { return true }

func (f *recallableFile) SetIdle(idle bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = idle
	f.said++
}

func (f *recallableFile) OnWanted(wanted func()) { f.wanted = wanted }

// state returns whether the worker takes the file for idle, and the number of reports.
func (f *recallableFile) state() (idle bool, reports int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.idle, f.said
}

// keeper is a borrowed with a clock, which nothing but the test sweeps.
type keeper struct {
	*borrowed
	*testing.T
	local *lentFiles
	now   time.Time
}

func newKeeper(t *testing.T, files int) *keeper {
	k := &keeper{T: t, now: time.Unix(1000, 0), local: &lentFiles{data: map[string][]byte{}, lent: map[string][]*lentFile{}}}
	k.borrowed = newBorrowed(func() time.Time { return k.now }, files)
	k.sweeper = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() {
		k.close()
		if n := k.local.held(); n != 0 {
			t.Errorf("%d files are left", n)
		}
	})
	return k
}

// pass sweeps after a time.
func (k *keeper) pass(d time.Duration) {
	k.now = k.now.Add(d)
	k.sweep()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sweeper != nil {
		k.sweeper.Stop()
	}
	k.sweeper = time.AfterFunc(time.Hour, func() {})
	k.next = time.Time{}
}

// open borrows a file, and returns the end of its use.
func (k *keeper) open(name string, size int64) (file *recallableFile, done func()) {
	k.Helper()
	v := Version{Key: name, Size: size}
	k.local.data[name] = nil
	lent, err := k.local.open(v)
	if err != nil {
		k.Fatal(err)
	}
	file = &recallableFile{lentFile: lent}
	k.add(v, file)
	return file, k.done(v, file)
}

func (k *keeper) done(v Version, file LocalFile) func() {
	return func() {
		if err := k.put(v, file); err != nil {
			k.Error(err)
		}
	}
}

// TestIdleFilesAreDeclared checks when the worker is told that a file is not used, and
// that such a file is kept and used again without a request.
func TestIdleFilesAreDeclared(t *testing.T) {
	k := newKeeper(t, 1<<20)
	file, done := k.open("a", 1000)
	k.pass(2 * reportTime)
	if idle, reports := file.state(); idle || reports != 0 {
		t.Errorf("a file in use: idle %v after %d reports", idle, reports)
	}
	done()
	k.pass(idleTime - 1)
	if idle, _ := file.state(); idle {
		t.Error("the file is declared idle at once")
	}
	k.pass(1)
	if idle, _ := file.state(); !idle {
		t.Error("the file is not declared idle")
	}
	k.pass(keepTime / 2)
	v := Version{Key: "a", Size: 1000}
	if k.take(v) != file {
		t.Fatal("the file is not kept")
	}
	k.pass(sweepTime)
	if idle, _ := file.state(); idle {
		t.Error("the file is used again, and the worker was not told")
	}
	k.done(v, file)()
	k.pass(idleTime)
	k.pass(keepTime)
	if !file.closed {
		t.Error("the file is kept for ever")
	}
}

// TestUseOfKeptFilesIsReported checks that the use of a file that is used all the time
// is reported now and then.
func TestUseOfKeptFilesIsReported(t *testing.T) {
	k := newKeeper(t, 1<<20)
	file, done := k.open("a", 1000)
	done()
	for range 100 {
		v := Version{Key: "a", Size: 1000}
		if k.take(v) != file {
			t.Fatal("the file is not kept")
		}
		k.done(v, file)()
		k.pass(reportTime / 10)
	}
	if idle, reports := file.state(); idle || reports < 8 || reports > 12 {
		t.Errorf("idle %v after %d reports, want false after 10", idle, reports)
	}
}

// TestWantedFilesAreGivenBack checks that a file that the worker requires is given back,
// unless it is used, which the worker is told.
func TestWantedFilesAreGivenBack(t *testing.T) {
	k := newKeeper(t, 1<<20)
	file, done := k.open("a", 1000)
	used, release := k.open("b", 1000)
	done()
	release()
	k.pass(idleTime)
	v := Version{Key: "b", Size: 1000}
	if k.take(v) != used {
		t.Fatal("the file is not kept")
	}
	file.wanted()
	file.wanted()
	used.wanted()
	if !file.closed || k.take(Version{Key: "a", Size: 1000}) != nil {
		t.Error("the file was not given back")
	}
	if idle, _ := used.state(); used.closed || idle {
		t.Errorf("the file in use: closed %v, idle %v", used.closed, idle)
	}
	k.done(v, used)()
	k.pass(idleTime)
	if idle, _ := used.state(); !idle {
		t.Error("the file is not idle after its use")
	}
	// One that was revoked, or whose worker is away, is required, too.
	close(used.revoked)
	used.wanted()
	if !used.closed {
		t.Error("the revoked file was not given back")
	}
}

// TestKeptFilesAreBounded checks the number and the size of files that are kept, and
// that those beyond the number that the worker cannot recall are declared idle at once.
func TestKeptFilesAreBounded(t *testing.T) {
	const files = 4 * 2000
	k := newKeeper(t, files)
	for i := range 3000 {
		_, done := k.open(fmt.Sprint(i), 1000)
		done()
	}
	k.pass(0)
	if fresh, parked := k.fresh.Len(), k.parked.Len(); fresh != maxFreshFiles || parked != 3000-maxFreshFiles {
		t.Errorf("%d and %d files are kept", fresh, parked)
	}
	k.pass(idleTime)
	if n := k.local.held(); n != files/4 || !k.local.lent["0"][0].closed || k.local.lent["2999"][0].closed {
		t.Errorf("%d files are kept, want the last %d", n, files/4)
	}
	k = newKeeper(t, 1<<20)
	for i := range 2 * maxIdleBytes / maxShared {
		_, done := k.open(fmt.Sprint(i), maxShared)
		done()
	}
	k.pass(idleTime)
	if n := k.local.held(); n != maxIdleBytes/maxShared || k.parked.bytes != maxIdleBytes {
		t.Errorf("%d files of %d bytes are kept", n, k.parked.bytes)
	}
}
