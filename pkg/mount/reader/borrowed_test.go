package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// lentFiles is a LocalFiles of files in memory that can be revoked and lost.
type lentFiles struct {
	mu    sync.Mutex
	data  map[string][]byte
	lent  map[string][]*lentFile
	opens int
}

type lentFile struct {
	*bytes.Reader
	files         *lentFiles
	revoked, lost chan struct{}
	closed        bool
	counted       int
}

func (l *lentFiles) open(v Version) (*lentFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, ok := l.data[v.Key]
	if !ok {
		return nil, ErrNotSealed
	}
	l.opens++
	f := &lentFile{Reader: bytes.NewReader(data), files: l, revoked: make(chan struct{}), lost: make(chan struct{})}
	l.lent[v.Key] = append(l.lent[v.Key], f)
	return f, nil
}

// held returns the number of files that are not closed.
func (l *lentFiles) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, files := range l.lent {
		for _, f := range files {
			if !f.closed {
				n++
			}
		}
	}
	return n
}

func (f *lentFile) ReadCached(p []byte, offset int64) (int, error) { return f.ReadAt(p, offset) }
func (f *lentFile) Device() uint64                                 { return 1 }
func (f *lentFile) Revoked() <-chan struct{}                       { return f.revoked }
func (f *lentFile) Lost() <-chan struct{}                          { return f.lost }
func (f *lentFile) CountOpen()                                     { f.counted++ }

func (f *lentFile) Close() error {
	f.files.mu.Lock()
	defer f.files.mu.Unlock()
	if f.closed {
		return errors.New("closed twice")
	}
	f.closed = true
	return nil
}

// Open implements LocalFiles.
func (l *lentFiles) Open(_ context.Context, v Version, _ []string) (LocalFile, error) {
	file, err := l.open(v)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// newBorrowing returns a reader of a host whose worker has the file "file" sealed.
func newBorrowing(t *testing.T, size int) (*fixture, *lentFiles, Version, *settableClock) {
	clock := &settableClock{now: time.Unix(1000, 0)}
	data := random(60, size)
	local := &lentFiles{data: map[string][]byte{"file": data}, lent: map[string][]*lentFile{}}
	f := newFixture(t, 1, func(c *Config) { c.Local, c.Clock = local, clock.Now })
	return f, local, f.put("file", data), clock
}

// readWhole opens, reads and closes the file, and reports whether its bytes were in
// memory.
func (f *fixture) readWhole(v Version, want []byte) (now bool) {
	f.Helper()
	file, err := f.reader.Open(f.Context(), v)
	if err != nil {
		f.Fatal(err)
	}
	p := make([]byte, v.Size)
	if lent, ok := file.ReadNow(p, 0); ok {
		copy(p, lent.Bytes)
		lent.Release()
		now = true
	} else if _, err := file.ReadAt(f.Context(), p, 0); err != nil {
		f.Fatal(err)
	}
	if !bytes.Equal(p, want) {
		f.Fatalf("%d wrong bytes", len(p))
	}
	if err := file.Close(); err != nil {
		f.Fatal(err)
	}
	return now
}

// TestSmallFilesAreBorrowedOnce checks that a small file that is opened again needs
// neither a request nor a wait, and that its uses are counted.
func TestSmallFilesAreBorrowedOnce(t *testing.T) {
	f, local, v, _ := newBorrowing(t, 20_000)
	for i := range 10 {
		if now := f.readWhole(v, local.data["file"]); now != (i > 0) {
			t.Errorf("read %d without waiting: %t", i, now)
		}
	}
	if local.opens != 1 || local.held() != 1 {
		t.Errorf("10 reads took %d requests for the file, want 1; %d files are open, want 1", local.opens, local.held())
	}
	if counted := local.lent["file"][0].counted; counted != 9 {
		t.Errorf("%d further uses were counted, want 9", counted)
	}
	if err := f.reader.Close(); err != nil || local.held() != 0 {
		t.Errorf("%d files are open after the reader was closed; error %v", local.held(), err)
	}
}

// TestBorrowedFilesAreGivenBack checks that files without handles are given back after
// a time, and that others are requested again.
func TestBorrowedFilesAreGivenBack(t *testing.T) {
	f, local, v, clock := newBorrowing(t, 20_000)
	f.readWhole(v, local.data["file"])
	f.reader.borrowed.sweep()
	if local.held() != 1 {
		t.Fatal("the file was given back at once")
	}
	clock.advance(idleTime)
	f.reader.borrowed.sweep()
	f.eventually("the file is given back", func() bool { return local.held() == 0 })
	file := f.open(v)
	if _, err := file.ReadAt(t.Context(), make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Hour)
	f.reader.borrowed.sweep()
	if local.held() != 1 {
		t.Error("a file in use was given back")
	}
	f.readWhole(v, local.data["file"])
	if local.opens != 3 {
		t.Errorf("%d requests, want 3: a file that was borrowed long ago is requested again", local.opens)
	}
}

// TestLargeFilesAreNotKept checks that only small files are kept.
func TestLargeFilesAreNotKept(t *testing.T) {
	f, local, v, _ := newBorrowing(t, maxShared+1)
	f.readWhole(v, local.data["file"])
	if local.held() != 0 {
		t.Error("a large file is kept")
	}
}

// TestUnusableFilesAreNotShared checks that a file that was revoked, or whose worker
// is away, is read by no other handle.
func TestUnusableFilesAreNotShared(t *testing.T) {
	for name, end := range map[string]func(*lentFile){
		"revoked": func(l *lentFile) { close(l.revoked) },
		"lost":    func(l *lentFile) { close(l.lost) },
	} {
		t.Run(name, func(t *testing.T) {
			f, local, v, _ := newBorrowing(t, 20_000)
			f.readWhole(v, local.data["file"])
			end(local.lent["file"][0])
			if now := f.readWhole(v, local.data["file"]); now {
				t.Error("the file was used by another handle")
			}
			if local.opens != 2 {
				t.Errorf("%d requests, want 2", local.opens)
			}
			f.reader.borrowed.sweep()
			f.eventually("the file is given back", func() bool { return local.held() == 0 })
		})
	}
}

// TestIdleFilesAreBounded checks that too many files without handles are given back,
// those first that were not used for the longest time.
func TestIdleFilesAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBorrowed(func() time.Time { return now }, 1<<20)
	b.sweeper = time.AfterFunc(time.Hour, func() {}) // Only this test sweeps.
	local := &lentFiles{data: map[string][]byte{}, lent: map[string][]*lentFile{}}
	borrow := func(i int, size int64) *lentFile {
		v := Version{Key: fmt.Sprint(i), Size: size}
		local.data[v.Key] = nil
		file, err := local.open(v)
		if err != nil {
			t.Fatal(err)
		}
		b.add(v, file)
		if err := b.put(v, file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := borrow(0, 1000)
	for i := range 2 * maxFreshFiles {
		borrow(i+1, 1000)
	}
	b.sweep()
	if n := local.held(); n != maxFreshFiles || !first.closed {
		t.Errorf("%d files are kept, want %d; the first one is closed: %t", n, maxFreshFiles, first.closed)
	}
	for i := range 2 * maxFreshBytes / maxShared {
		borrow(-i-1, maxShared)
	}
	b.sweep()
	if b.fresh.bytes > maxFreshBytes {
		t.Errorf("%d bytes are kept, want at most %d", b.fresh.bytes, maxFreshBytes)
	}
	b.close()
	if n := local.held(); n != 0 || b.fresh.bytes != 0 {
		t.Errorf("%d files of %d bytes are left", n, b.fresh.bytes)
	}
}
