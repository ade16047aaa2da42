//go:build linux

package fusefs

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Files in the state directory by which the test makes servers not change the
// directory any more, and a server confirms that.
const freezeName, frozenName = "freeze", "frozen"

// changeInterval is the time between two changes of the directory.
const changeInterval = 20 * time.Millisecond

// serveNamesRole serves a directory that changes until it is killed. Each of its
// generations, which are those of a clock that all servers share, has the names of
// directoryOf and two names of its own, the first one and the last one.
func serveNamesRole() error {
	attachment, err := fusefd.Attach(context.Background(), os.Getenv(socketVariable))
	if err != nil {
		return err
	}
	source, _ := directoryOf(changingNames)
	source.delay = time.Millisecond
	source.put("m", "dir/a-0", "1", 1)
	source.put("m", "dir/z-0", "1", 1)
	source.mark(uint64(time.Now().UnixMicro()))
	s, err := New(Config{
		Attachment: attachment, StateDir: os.Getenv(stateVariable), Source: quickSource{source},
		AttrTTL: time.Minute, EntryTTL: time.Minute, NegativeTTL: time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	go func() {
		state := os.Getenv(stateVariable)
		for {
			if _, err := os.Stat(filepath.Join(state, freezeName)); err == nil {
				_ = os.WriteFile(filepath.Join(state, frozenName), nil, 0o600)
				return
			}
			source.mark(uint64(time.Now().UnixMicro()))
			time.Sleep(changeInterval)
		}
	}()
	return s.Serve(context.Background())
}

// changingNames is the number of names that all generations have.
const changingNames = 600

// mark begins a generation.
func (s *fakeSource) mark(generation uint64) {
	s.set(func() {
		all := s.dirs["m:dir"]
		for _, mark := range []string{"a-", "z-"} {
			name := mark + strconv.FormatUint(s.generation, 10)
			e := all[name]
			delete(all, name)
			e.Name = mark + strconv.FormatUint(generation, 10)
			all[e.Name] = e
		}
		s.generation = generation
	})
}

// readNamesRole reads the directory until SIGTERM, and prints the readerStats as JSON.
func readNamesRole() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	dir := filepath.Join(os.Getenv(pointVariable), "dir")
	_, names := directoryOf(changingNames)
	var t readerStats
	var group sync.WaitGroup
	for range killReaders {
		group.Go(func() {
			for first := true; first || ctx.Err() == nil; first = false {
				t.readNames(dir, names)
			}
		})
	}
	group.Wait()
	return json.NewEncoder(os.Stdout).Encode(&t)
}

// readNames opens a directory and reads it once or twice. Every name that exists
// throughout must occur exactly once, in order, with its attributes.
func (t *readerStats) readNames(dir string, names []string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.fail(&t.Failed, "open: %v", err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	for range 1 + rand.IntN(2) {
		if _, err := unix.Seek(fd, 0, 0); err != nil {
			t.fail(&t.Failed, "rewind: %v", err)
		}
		began := time.Now()
		all, err := direntsOf(fd, 1<<(10+rand.IntN(6)))
		t.observe(time.Since(began))
		if errors.Is(err, unix.ESTALE) {
			continue // The name at its position was deleted.
		}
		if err != nil {
			t.fail(&t.Failed, "list: %v", err)
			continue
		}
		got := slices.DeleteFunc(namesOf(all), func(name string) bool { return !strings.HasPrefix(name, "name-") })
		if !slices.Equal(got, names) {
			t.fail(&t.Wrong, "list: %d names, want %d", len(got), len(names))
		}
		atomic.AddInt64(&t.Lists, 1)
		atomic.AddInt64(&t.Reads, int64(len(got)))
	}
	var stat unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, names[rand.IntN(len(names))]), &stat); err != nil {
		t.fail(&t.Failed, "stat: %v", err)
	}
	atomic.AddInt64(&t.Stats, 1)
}

// TestReadersOfNamesSurviveKilledServers kills servers while a directory that changes is
// read. No name is missing or returned twice, and what the kernel keeps in the end is of
// one generation.
func TestReadersOfNamesSurviveKilledServers(t *testing.T) {
	h := newTestMount(t)
	kills := 20
	if testing.Short() {
		kills = 5
	}
	k := h.startRoles(t, "servenames", "readnames")
	for range kills {
		k.kill(time.Duration(rand.IntN(150))*time.Millisecond, true)
	}
	k.stop(kills)
	if err := os.WriteFile(filepath.Join(h.state, freezeName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the directory does not change any more", func() bool {
		_, err := os.Stat(filepath.Join(h.state, frozenName))
		return err == nil
	})
	for range 10 {
		got := namesIn(t, filepath.Join(h.point, "dir"))
		first, last := strings.TrimPrefix(got[0], "a-"), strings.TrimPrefix(got[len(got)-1], "z-")
		if first != last || len(got) != changingNames+2 {
			t.Fatalf("%d names are kept, from generation %s to %s", len(got), first, last)
		}
	}
}
