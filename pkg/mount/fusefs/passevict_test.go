//go:build linux

package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// storeSource is a source whose sealed files are those of a block store.
type storeSource struct {
	*fakeSource
	store *blockstore.Store
	// away is set while the worker lends nothing.
	away atomic.Bool

	mu   sync.Mutex
	lent []*storeFile
}

func keyOf(v reader.Version) blockstore.Key {
	return blockstore.Key{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size}
}

// fetch makes the block store fetch a version, and waits until it is written.
func (s *storeSource) fetch(t *testing.T, v reader.Version) {
	t.Helper()
	r, err := s.store.Read(t.Context(), blockstore.Request{
		Key: keyOf(v), Length: v.Size,
		Fetch: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			p := make([]byte, length)
			fill(p, v.ETag, offset)
			return io.NopCloser(bytes.NewReader(p)), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Copy(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the blocks are written", func() bool { return s.store.Stats().Dirty == 0 })
}

// seal fetches a version until it is sealed: the store skips blocks when its disk is
// slow.
func (s *storeSource) seal(t *testing.T, v reader.Version) {
	t.Helper()
	eventually(t, "the version is sealed", func() bool {
		s.fetch(t, v)
		return s.sealed(v)
	})
}

func (s *storeSource) sealed(v reader.Version) bool {
	loan, err := s.store.Lend(keyOf(v))
	if err == nil {
		loan.Return()
	}
	return err == nil
}

func (s *storeSource) Backing(_ context.Context, v reader.Version) (reader.Backing, error) {
	if s.away.Load() {
		return nil, reader.ErrWorkerAway
	}
	loan, err := s.store.Lend(keyOf(v))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", reader.ErrNotSealed, err)
	}
	fd, err := unix.FcntlInt(loan.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	loan.CloseFile()
	if err != nil {
		loan.Return()
		return nil, err
	}
	f := &storeFile{loan: loan, file: os.NewFile(uintptr(fd), "sealed"), revoked: make(chan struct{}), lost: make(chan struct{})}
	loan.OnRevoke(func() { close(f.revoked) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent = append(s.lent, f)
	return f, nil
}

// lose ends all loans, as the end of the connection to the worker does.
func (s *storeSource) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.lent {
		f.once.Do(f.loan.Return)
		close(f.lost)
	}
	s.lent = nil
}

type storeFile struct {
	loan          *blockstore.Loan
	file          *os.File
	once          sync.Once
	revoked, lost chan struct{}
}

func (f *storeFile) Descriptor() *os.File     { return f.file }
func (f *storeFile) Used()                    { f.loan.Used(1, 0) }
func (f *storeFile) Revoked() <-chan struct{} { return f.revoked }
func (f *storeFile) Lost() <-chan struct{}    { return f.lost }

func (f *storeFile) Close() error {
	f.once.Do(f.loan.Return)
	return f.file.Close()
}

// TestEvictionUnderPassthrough checks that a file that the kernel reads itself is not
// evicted while it is lent, and that its handles read on, by read and by mmap, when it
// is evicted after its loan has ended.
func TestEvictionUnderPassthrough(t *testing.T) {
	const quota = 8 << 20
	cache := t.TempDir()
	store, err := blockstore.Open(blockstore.Config{Tiers: []blockstore.Tier{{Medium: "SSD", Path: cache, Quota: quota, Floor: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	source := &storeSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/data"}), store: store}
	h := newTestMountWith(t, fusefd.Options{AcceptBacking: fusefd.CacheFiles(func() []string { return []string{cache} })})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	v := source.put("m", "f", "one", passthroughSize)
	source.seal(t, v)
	s, _ := h.start(t, source, nil)
	needsPassthrough(t, s)
	fd := openFD(t, filepath.Join(h.point, "data/f"))
	if s.files.passthrough.count() != 1 {
		t.Fatal("the file is not in passthrough mode")
	}
	for i := range 3 * quota / passthroughSize {
		source.fetch(t, reader.Version{Mount: "m", Key: fmt.Sprint("other/", i), ETag: fmt.Sprint(i), Size: passthroughSize})
		checkWhole(t, fd, v)
	}
	store.Forget(v.Mount, v.Key) // removes what nothing uses, also what the eviction protects
	if stats := store.Stats(); stats.Evicted == 0 || stats.Tiers[0].Used > quota {
		t.Errorf("%d versions are evicted, %d bytes are used", stats.Evicted, stats.Tiers[0].Used)
	}
	if !source.sealed(v) {
		t.Error("the file was evicted while it was lent")
	}
	checkMapped(t, fd, v)
	source.away.Store(true)
	source.lose()
	store.Forget(v.Mount, v.Key)
	if source.sealed(v) {
		t.Fatal("the file was not evicted after its loan had ended")
	}
	checkWhole(t, fd, v)
	checkMapped(t, fd, v)
	if s.files.passthrough.count() != 1 {
		t.Errorf("%d files are registered", s.files.passthrough.count())
	}
}
