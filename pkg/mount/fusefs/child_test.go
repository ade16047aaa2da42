//go:build linux

package fusefs

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
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
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

type unixStat = syscall.Stat_t

// The test of takeovers runs the server and its readers in separate processes:
// the same test binary, with a role in its environment.
const (
	roleVariable   = "JINDO_TEST_ROLE"
	socketVariable = "JINDO_TEST_SOCKET"
	stateVariable  = "JINDO_TEST_STATE"
	pointVariable  = "JINDO_TEST_POINT"
	// immutableVariable is set if the server is configured for the immutable profile.
	immutableVariable = "JINDO_TEST_IMMUTABLE"
	// wideVariable is the number of files of a large tree, which the readers look
	// up first; 0 is none.
	wideVariable = "JINDO_TEST_WIDE"
)

// The tree that children serve and verify.
const (
	killFiles   = 8
	killSize    = 8<<20 + 123
	killNames   = 3000
	killReaders = 8
	// wideDir is the number of files in a directory of the large tree.
	wideDir = 1000
	// filledName is the file in the state directory that the readers create when
	// they have looked up the large tree.
	filledName = "filled"
)

// serveAsChild runs the role of a child process, and reports whether this process
// is one.
func serveAsChild() bool {
	var err error
	switch os.Getenv(roleVariable) {
	case "":
		return false
	case "serve":
		err = serveRole()
	case "read":
		err = readRole()
	case "servemodes":
		err = serveModesRole()
	case "readmodes":
		err = readModesRole()
	case "servenames":
		err = serveNamesRole()
	case "readnames":
		err = readNamesRole()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	return true
}

func killSource() *fakeSource {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/data"})
	source.delay = 2 * time.Millisecond
	for i := range killFiles {
		source.put("m", killFile(i), "etag-"+strconv.Itoa(i), killSize)
	}
	for i := range killNames {
		source.put("m", killName(i), "small-"+strconv.Itoa(i), int64(i))
	}
	for i := range wideFiles() {
		source.put("m", wideName(i), fmt.Sprintf("%032x", i), int64(i))
	}
	return source
}

func wideFiles() int {
	n, _ := strconv.Atoi(os.Getenv(wideVariable))
	return n
}

func wideName(i int) string {
	return fmt.Sprintf("wide/class-%04d/image-%08d.jpeg", i/wideDir, i)
}

func killFile(i int) string { return fmt.Sprintf("big/%d", i) }

func killName(i int) string { return fmt.Sprintf("many/name-%05d", i) }

// serveRole serves until it is killed. It invalidates random names, so that the
// kernel constantly forgets and looks up nodes, and lists again, so that names that the
// kernel keeps are of several listings.
func serveRole() error {
	attachment, err := fusefd.Attach(context.Background(), os.Getenv(socketVariable))
	if err != nil {
		return err
	}
	source := killSource()
	s, err := New(Config{
		Attachment: attachment, StateDir: os.Getenv(stateVariable), Source: quickSource{source},
		AttrTTL: time.Minute, EntryTTL: time.Minute, NegativeTTL: time.Second,
		Immutable: os.Getenv(immutableVariable) != "",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	s.files.notifier.expire.Store(false)
	forgetAll := make(chan os.Signal, 1)
	signal.Notify(forgetAll, syscall.SIGUSR1)
	go func() {
		for n := 0; ; n++ {
			if n%20 == 0 {
				source.set(func() { source.generation++ })
			}
			select {
			case <-forgetAll:
				s.files.notifier.below("/")
				return
			default:
			}
			s.files.notifier.entry("/data/" + killName(rand.IntN(killNames)))
			s.files.notifier.entry("/data/" + killFile(rand.IntN(killFiles)))
			if n := wideFiles(); n > 0 {
				s.files.notifier.entry("/data/" + wideName(rand.IntN(n)))
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return s.Serve(context.Background())
}

// readerStats is the result of the readers.
type readerStats struct {
	Reads, Lists, Stats int64
	Failed              []string
	Wrong               []string
	WorstStall          time.Duration

	mu sync.Mutex
}

func (t *readerStats) fail(list *[]string, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(*list) < 20 {
		*list = append(*list, fmt.Sprintf(format, args...))
	}
}

func (t *readerStats) observe(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.WorstStall = max(t.WorstStall, d)
}

// readRole reads and verifies until SIGTERM, each thing at least once, and prints the
// readerStats as JSON.
func readRole() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	point := filepath.Join(os.Getenv(pointVariable), "data")
	var t readerStats
	var group sync.WaitGroup
	if wideFiles() > 0 {
		t.statWide(ctx, point, 4)
		if err := os.WriteFile(filepath.Join(os.Getenv(stateVariable), filledName), nil, 0o600); err != nil {
			return err
		}
		group.Go(func() {
			for ctx.Err() == nil {
				t.statWide(ctx, point, 1)
			}
		})
	}
	for i := range killReaders {
		group.Go(func() {
			t.readFile(ctx, filepath.Join(point, killFile(i%killFiles)), "etag-"+strconv.Itoa(i%killFiles), i%2 == 0)
		})
	}
	for i := range 2 {
		group.Go(func() { t.readDir(ctx, filepath.Join(point, "many"), 1024<<(4*i)) })
	}
	group.Go(func() { t.churn(ctx, point) })
	group.Wait()
	return json.NewEncoder(os.Stdout).Encode(&t)
}

// readFile reads at random offsets with O_DIRECT. It keeps one handle, or opens a
// new one after every ten reads.
func (t *readerStats) readFile(ctx context.Context, name, etag string, keep bool) {
	memory, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.fail(&t.Failed, "mmap: %v", err)
		return
	}
	fd := -1
	for n := 0; n == 0 || ctx.Err() == nil; n++ {
		if fd < 0 {
			if fd, err = unix.Open(name, unix.O_RDONLY|unix.O_DIRECT, 0); err != nil {
				t.fail(&t.Failed, "open %s: %v", name, err)
				return
			}
		}
		off := int64(rand.IntN(killSize)) &^ 4095
		began := time.Now()
		got, err := unix.Pread(fd, memory, off)
		t.observe(time.Since(began))
		want := min(int64(len(memory)), killSize-off)
		switch {
		case err != nil:
			t.fail(&t.Failed, "read %s at %d: %v", name, off, err)
		case int64(got) != want:
			t.fail(&t.Wrong, "read %s at %d: %d bytes, want %d", name, off, got, want)
		case wrong(memory[:got], etag, off) >= 0:
			t.fail(&t.Wrong, "read %s at %d: wrong byte at index %d", name, off, wrong(memory[:got], etag, off))
		}
		atomic.AddInt64(&t.Reads, 1)
		if !keep && n%10 == 9 {
			_ = unix.Close(fd)
			fd = -1
		}
	}
	_ = unix.Close(fd)
}

// readDir lists a directory repeatedly with a small buffer. Every name must occur
// exactly once.
func (t *readerStats) readDir(ctx context.Context, name string, buffer int) {
	var want []string
	for i := range killNames {
		want = append(want, filepath.Base(killName(i)))
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.fail(&t.Failed, "open %s: %v", name, err)
		return
	}
	for first := true; first || ctx.Err() == nil; first = false {
		if _, err := unix.Seek(fd, 0, 0); err != nil {
			t.fail(&t.Failed, "rewind %s: %v", name, err)
			return
		}
		entries, err := direntsOf(fd, buffer)
		if err != nil {
			t.fail(&t.Failed, "list %s: %v", name, err)
			return
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.name)
		}
		if !slices.Equal(got, append([]string{".", ".."}, want...)) {
			t.fail(&t.Wrong, "list %s: %d names, want %d", name, len(got), len(want)+2)
		}
		atomic.AddInt64(&t.Lists, 1)
	}
	_ = unix.Close(fd)
}

type dirent struct {
	name   string
	ino    uint64
	cookie int64
}

// direntsOf reads a directory from the current offset to its end.
func direntsOf(fd, buffer int) ([]dirent, error) {
	var all []dirent
	p := make([]byte, buffer)
	for {
		n, err := unix.Getdents(fd, p)
		if err != nil {
			return all, err
		}
		if n == 0 {
			return all, nil
		}
		all = append(all, parseDirents(p[:n])...)
	}
}

// parseDirents decodes linux_dirent64 records: ino, offset, length, type, name.
func parseDirents(p []byte) []dirent {
	var all []dirent
	for len(p) > 0 {
		length := binary.NativeEndian.Uint16(p[16:])
		name, _, _ := strings.Cut(string(p[19:length]), "\x00")
		all = append(all, dirent{name: name, ino: binary.NativeEndian.Uint64(p), cookie: int64(binary.NativeEndian.Uint64(p[8:]))})
		p = p[length:]
	}
	return all
}

// churn looks up existing and absent names.
func (t *readerStats) churn(ctx context.Context, point string) {
	for first := true; first || ctx.Err() == nil; first = false {
		i := rand.IntN(killNames)
		var stat unix.Stat_t
		if err := unix.Stat(filepath.Join(point, killName(i)), &stat); err != nil {
			t.fail(&t.Failed, "stat %s: %v", killName(i), err)
		} else if stat.Size != int64(i) {
			t.fail(&t.Wrong, "stat %s: %d bytes", killName(i), stat.Size)
		}
		if err := unix.Stat(filepath.Join(point, "many", "none-"+strconv.Itoa(i)), &stat); !errors.Is(err, unix.ENOENT) {
			t.fail(&t.Wrong, "stat of an absent name: %v, want ENOENT", err)
		}
		atomic.AddInt64(&t.Stats, 2)
	}
}

// statWide checks the size of every file of the large tree.
func (t *readerStats) statWide(ctx context.Context, point string, threads int) {
	var group sync.WaitGroup
	for thread := range threads {
		group.Go(func() {
			for i := thread; i < wideFiles() && ctx.Err() == nil; i += threads {
				var stat unix.Stat_t
				if err := unix.Stat(filepath.Join(point, wideName(i)), &stat); err != nil {
					t.fail(&t.Failed, "stat %s: %v", wideName(i), err)
				} else if stat.Size != int64(i) {
					t.fail(&t.Wrong, "stat %s: %d bytes", wideName(i), stat.Size)
				}
			}
		})
	}
	group.Wait()
}
