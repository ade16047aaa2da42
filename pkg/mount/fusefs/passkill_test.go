//go:build linux

package fusefs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// The test of takeovers with handles of all modes runs the servers and the readers
// in separate processes, like child_test.go.
const (
	cacheVariable = "JINDO_TEST_CACHE"
	// modeFiles is the number of files: by the number modulo three, one is always
	// sealed, the next never, and the last is sealed and removed all the time.
	modeFiles = 9
	modeSize  = 1<<20 + 123
)

func modeSource() (*sealedSource, []reader.Version) {
	source := newSealedSource(os.Getenv(cacheVariable))
	return source, putModeFiles(source)
}

func putModeFiles(source *sealedSource) (versions []reader.Version) {
	for i := range modeFiles {
		versions = append(versions, source.put("m", "mode/"+strconv.Itoa(i), "mode-"+strconv.Itoa(i), modeSize))
	}
	return versions
}

// serveModesRole serves until it is killed. It invalidates names and pages, so that
// nodes are forgotten and looked up again, and revokes and loses files.
func serveModesRole() error {
	attachment, err := fusefd.Attach(context.Background(), os.Getenv(socketVariable))
	if err != nil {
		return err
	}
	source, _ := modeSource()
	source.delay = time.Millisecond
	s, err := New(Config{
		Attachment: attachment, StateDir: os.Getenv(stateVariable), Source: source,
		AttrTTL: time.Minute, EntryTTL: time.Minute, NegativeTTL: time.Second,
		Immutable: os.Getenv(immutableVariable) != "",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	s.files.notifier.expire.Store(false)
	go func() {
		for {
			path := fmt.Sprintf("/data/mode/%d", rand.IntN(modeFiles))
			switch rand.IntN(4) {
			case 0:
				s.files.notifier.entry(path)
			case 1:
				s.files.table.mu.Lock()
				_, n, ok := s.files.table.findPath(path)
				s.files.table.mu.Unlock()
				if ok {
					s.files.notifier.pages(n.id)
				}
			case 2:
				source.end(rand.IntN(2) == 0)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return s.Serve(context.Background())
}

// end revokes one of the files that are lent, or loses its worker.
func (s *sealedSource) end(revoke bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.lent {
		delete(s.lent, f)
		if revoke {
			close(f.revoked)
		} else {
			close(f.lost)
		}
		return
	}
}

// readModesRole opens, reads, maps and closes files, and verifies every byte, until
// SIGTERM, each at least once.
func readModesRole() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var t readerStats
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() { t.readModes(ctx, filepath.Join(os.Getenv(pointVariable), "data", "mode")) })
	}
	group.Wait()
	return json.NewEncoder(os.Stdout).Encode(&t)
}

// didAll reports whether something was read, listed or mapped, and opened.
func (t *readerStats) didAll() bool {
	return atomic.LoadInt64(&t.Reads) > 0 && atomic.LoadInt64(&t.Lists) > 0 && atomic.LoadInt64(&t.Stats) > 0
}

type modeHandle struct {
	fd, file int
	memory   []byte
}

// readModes keeps some handles open for different times.
func (t *readerStats) readModes(ctx context.Context, dir string) {
	var open []modeHandle
	closeOne := func(i int) {
		if open[i].memory != nil {
			_ = unix.Munmap(open[i].memory)
		}
		_ = unix.Close(open[i].fd)
		open = append(open[:i], open[i+1:]...)
	}
	for ctx.Err() == nil || !t.didAll() {
		if len(open) < 8 {
			h := modeHandle{file: rand.IntN(modeFiles)}
			flags := unix.O_RDONLY
			if rand.IntN(4) == 0 {
				flags |= unix.O_DIRECT
			}
			name := filepath.Join(dir, strconv.Itoa(h.file))
			var err error
			if h.fd, err = unix.Open(name, flags, 0); err != nil {
				t.fail(&t.Failed, "open %s: %v", name, err)
				continue
			}
			atomic.AddInt64(&t.Stats, 1)
			if rand.IntN(2) == 0 {
				if h.memory, err = unix.Mmap(h.fd, 0, modeSize, unix.PROT_READ, unix.MAP_SHARED); err != nil {
					t.fail(&t.Failed, "map %s: %v", name, err)
				}
			}
			open = append(open, h)
		}
		i := rand.IntN(len(open))
		t.readMode(open[i])
		if rand.IntN(6) == 0 || len(open) == 8 {
			closeOne(i)
		}
	}
	for len(open) > 0 {
		closeOne(0)
	}
}

// readMode verifies a part of a file, by read or by mmap.
func (t *readerStats) readMode(h modeHandle) {
	etag := "mode-" + strconv.Itoa(h.file)
	off := int64(rand.IntN(modeSize)) &^ 4095
	began := time.Now()
	if h.memory != nil && rand.IntN(2) == 0 {
		n := min(64<<10, modeSize-off)
		if i := wrong(h.memory[off:off+n], etag, off); i >= 0 {
			t.fail(&t.Wrong, "map of file %d: wrong byte at %d", h.file, off+int64(i))
		}
		atomic.AddInt64(&t.Lists, 1)
		t.observe(time.Since(began))
		return
	}
	memory, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.fail(&t.Failed, "memory: %v", err)
		return
	}
	defer func() { _ = unix.Munmap(memory) }()
	n, err := unix.Pread(h.fd, memory, off)
	t.observe(time.Since(began))
	switch {
	case err != nil:
		t.fail(&t.Failed, "read file %d at %d: %v", h.file, off, err)
	case int64(n) != min(int64(len(memory)), modeSize-off):
		t.fail(&t.Wrong, "read file %d at %d: %d bytes", h.file, off, n)
	case wrong(memory[:n], etag, off) >= 0:
		t.fail(&t.Wrong, "read file %d at %d: wrong byte", h.file, off)
	}
	atomic.AddInt64(&t.Reads, 1)
}

// churnSeals seals and removes files until stop is closed.
func churnSeals(t *testing.T, source *sealedSource, versions []reader.Version, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(3 * time.Millisecond):
		}
		v := versions[2+3*rand.IntN(modeFiles/3)]
		if n%2 == 0 {
			if err := seal(source.cache, v); err != nil {
				t.Error(err)
				return
			}
			continue
		}
		if err := os.Remove(sealedPath(source.cache, v)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
			return
		}
	}
}

// TestReadersOfAllModesSurviveKilledServers kills servers whose files are opened in
// passthrough and in cached mode, by read and by mmap, some of them during the
// takeover. Afterwards every registration has ended.
func TestReadersOfAllModesSurviveKilledServers(t *testing.T) {
	h, source := newPassthroughMount(t, nil)
	kills := 10
	if os.Getenv("JINDO_LONG") != "" {
		kills = 100
	}
	versions := putModeFiles(source)
	for i := range modeFiles {
		if i%3 == 0 {
			source.seal(t, versions[i])
		}
	}
	t.Setenv(cacheVariable, source.cache)
	k := h.startRoles(t, "servemodes", "readmodes")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); churnSeals(t, source, versions, stop) }()
	for i := range kills {
		// A third of them are killed before they serve.
		k.kill(time.Duration(rand.IntN(150))*time.Millisecond, i%3 != 2)
	}
	slots := h.slots(t)
	registered := len(slots.Backings())
	k.stop(kills)
	close(stop)
	<-stopped
	t.Logf("%d files were registered", registered)
	eventually(t, "all registrations have ended", func() bool { return len(slots.Backings()) == 0 })
}
