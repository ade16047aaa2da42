package fault

import (
	"bytes"
	"cmp"
	"context"
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

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/ossserver"
	"github.com/jindo-io/jindo/test/testbed"
	"github.com/jindo-io/jindo/test/verify"
)

func leaderKilled(b *breaking) error {
	leader, err := b.Leader(b)
	if err != nil {
		return err
	}
	if err := b.Kill(b, leader); err != nil {
		return err
	}
	_, err = b.Leader(b)
	return err
}

// leaderStopped stops the leader's process, like a paused virtual machine.
func leaderStopped(b *breaking) error {
	leader, err := b.Leader(b)
	if err != nil {
		return err
	}
	return b.stopped(leader, 3*time.Second)
}

func workerStopped(b *breaking) error {
	return b.stopped("hadoop-jindofs-worker-0", 6*time.Second)
}

func (b *breaking) stopped(component string, d time.Duration) error {
	if err := b.Signal(component, syscall.SIGSTOP); err != nil {
		return err
	}
	paused := b.pause(d)
	return errors.Join(b.Signal(component, syscall.SIGCONT), paused)
}

func mastersAndFuseKilled(b *breaking) error {
	masters, err := b.Components("master")
	if err != nil {
		return err
	}
	fuse, err := b.Components("fuse")
	if err != nil {
		return err
	}
	dead, cancel := context.WithCancel(b)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.KeepDown(dead, masters...)
	}()
	err = b.Kill(b, fuse[0])
	if err == nil {
		err = b.readOn(1000)
	}
	cancel()
	<-ended
	if err != nil {
		return err
	}
	_, err = b.Leader(b)
	return err
}

func workerKilled(b *breaking) error { return b.Kill(b, "hadoop-jindofs-worker-2") }

// workerDownWithStripes reads an object of several stripes, cold and again, while one
// of the workers that own them is down, and after it has returned.
func workerDownWithStripes(b *breaking) error {
	down, cancel := context.WithCancel(b)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.KeepDown(down, "hadoop-jindofs-worker-2")
	}()
	read := func() error {
		_, err := verify.Walk(b.Root(), filepath.Dir(striped.Path), []dataset.File{striped})
		return err
	}
	var failed error
	for range 3 {
		failed = errors.Join(failed, read(), b.readOn(100))
	}
	cancel()
	<-ended
	returned := b.eventually("the return of the worker", func() error {
		_, err := b.PID("hadoop-jindofs-worker-2")
		return err
	})
	return errors.Join(failed, returned, read())
}

func workersKilled(b *breaking) error {
	workers, err := b.Components("worker")
	if err != nil {
		return err
	}
	for _, name := range workers {
		if err := b.Signal(name, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return b.readOn(500)
}

// manyFiles are the files that a FUSE server knows when it is killed.
func manyFiles() []dataset.File {
	files := make([]dataset.File, 10_000)
	for i := range files {
		files[i] = dataset.File{Path: fmt.Sprintf("many/class-%02d/image-%08d.jpeg", i/1000, i), Size: int64(i % 100)}
	}
	return files
}

// fuseKilledWithManyFiles kills servers while the names of many files are looked
// up again.
func fuseKilledWithManyFiles(b *breaking) error {
	fuse, err := b.Components("fuse")
	if err != nil {
		return err
	}
	if err := b.statMany(); err != nil {
		return err
	}
	again := make(chan error, 1)
	go func() { again <- b.statMany() }()
	for range 5 {
		if err := b.Kill(b, fuse[0]); err != nil {
			return errors.Join(err, <-again)
		}
		if err := b.readOn(50); err != nil {
			return errors.Join(err, <-again)
		}
	}
	return errors.Join(<-again, b.statMany())
}

// statMany checks the size of every one of manyFiles.
func (b *breaking) statMany() error {
	for _, f := range manyFiles() {
		info, err := os.Stat(filepath.Join(b.Root(), f.Path))
		if err != nil {
			return fmt.Errorf("look up a file while servers are killed: %w", err)
		}
		if info.Size() != f.Size {
			return fmt.Errorf("%s has %d bytes, want %d", f.Path, info.Size(), f.Size)
		}
	}
	return nil
}

func fuseKilled(b *breaking) error {
	fuse, err := b.Components("fuse")
	if err != nil {
		return err
	}
	for range 20 {
		if err := b.Kill(b, fuse[0]); err != nil {
			return err
		}
		if err := b.readOn(50); err != nil {
			return err
		}
	}
	return nil
}

// workerDiskFull reads more than the second worker's disk can hold, and checks that
// the disk is full.
func workerDiskFull(b *breaking) error {
	if _, err := verify.Walk(b.Root(), "models", b.warm); err != nil {
		return err
	}
	var disk syscall.Statfs_t
	tier := filepath.Join(b.Layout.Dir, "tiers", "hadoop-jindofs-worker-1", "0")
	if err := syscall.Statfs(tier, &disk); err != nil {
		return fmt.Errorf("looking at the small disk: %w", err)
	}
	if disk.Blocks*uint64(disk.Bsize) != smallDisk {
		return fmt.Errorf("%s is not the small disk", tier)
	}
	return nil
}

// tierHangs lets the file system of one tier of a worker hang: a FUSE file system
// without a server is mounted over it.
func tierHangs(b *breaking) error {
	const worker = "hadoop-jindofs-worker-0"
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	tier := filepath.Join(b.Layout.Dir, "tiers", worker, "1")
	if err := syscall.Mount("jindo-fault", tier, "fuse.jindo-fault", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse.Fd())); err != nil {
		return errors.Join(fmt.Errorf("mounting a file system that hangs: %w", err), fuse.Close())
	}
	_, walked := verify.Walk(b.Root(), filepath.Dir(b.cold[0].Path), b.cold)
	hung := b.eventually("the worker reports the tier", func() error { return b.tierFails(worker, true) })
	read := b.readOn(500)
	// Without its descriptor the file system fails instead.
	released := errors.Join(fuse.Close(), syscall.Unmount(tier, syscall.MNT_DETACH))
	if err := errors.Join(walked, hung, read, released); err != nil {
		return err
	}
	return b.eventually("the worker uses the tier again", func() error { return b.tierFails(worker, false) })
}

// tierFails returns an error unless the worker reports that its second tier fails,
// or works, and that the first works.
func (b *breaking) tierFails(worker string, want bool) error {
	masters, err := b.Masters()
	if err != nil {
		return err
	}
	workers, err := masters.ListWorkers(b)
	if err != nil {
		return err
	}
	for _, w := range workers {
		tiers := w.GetReport().GetTiers()
		if w.GetReport().GetName() != worker || len(tiers) != 2 {
			continue
		}
		if first, second := tiers[0].GetError(), tiers[1].GetError(); first != "" || (second != "") != want {
			return fmt.Errorf("its tiers report %q and %q", first, second)
		}
		return nil
	}
	return fmt.Errorf("no report of %s", worker)
}

// largeObject reads an object that is larger than any tier, twice.
func largeObject(b *breaking) error {
	for range 2 {
		if _, err := verify.Walk(b.Root(), filepath.Dir(large.Path), []dataset.File{large}); err != nil {
			return err
		}
	}
	return nil
}

// hostileNames reads files whose names break lines or are one letter in two
// encodings, and looks up names that do not exist, also such that are not UTF-8:
// OSS has no such keys.
func hostileNames(b *breaking) error {
	const dir = "hostile"
	content := []byte("bytes of a file with an unusual name")
	names := []string{"a\u0308", "line\nfeed", "\u00e4"}
	for _, name := range names {
		if _, err := b.Store.OSS.Put("test-bucket", dir+"/"+name, content, nil); err != nil {
			return fmt.Errorf("putting %q: %w", name, err)
		}
	}
	if err := b.invalidate(); err != nil {
		return err
	}
	err := b.eventually("listing unusual names", func() error {
		entries, err := os.ReadDir(filepath.Join(b.Root(), dir))
		if err == nil && !slices.EqualFunc(entries, names, func(e fs.DirEntry, name string) bool { return e.Name() == name }) {
			err = fmt.Errorf("the directory has %q, want %q", entries, names)
		}
		return err
	})
	if err != nil {
		return err
	}
	for range 20 {
		for _, name := range names {
			got, err := os.ReadFile(filepath.Join(b.Root(), dir, name))
			if err != nil || !bytes.Equal(got, content) {
				return fmt.Errorf("reading %q: %d bytes, %w", name, len(got), err)
			}
		}
		for _, name := range []string{"\xfe", "\x01", "\xed\xa0\x80", "%ff", strings.Repeat("\xff", 255)} {
			for _, in := range []string{"", dir, filepath.Dir(b.cold[0].Path)} {
				if _, err := os.Stat(filepath.Join(b.Root(), in, name)); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("stat of the absent name %q: %w", name, err)
				}
			}
		}
		if err := b.pause(50 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// objectReplaced replaces an object while a handle of it is open.
func objectReplaced(b *breaking) error {
	old := b.cold[len(b.cold)-1]
	next := old
	next.Generation = 1
	handle, err := os.Open(filepath.Join(b.Root(), old.Path))
	if err != nil {
		return err
	}
	defer handle.Close()
	if _, err := b.Store.OSS.Put("test-bucket", old.Path, next.Content(), nil); err != nil {
		return err
	}
	b.cold[len(b.cold)-1] = next
	if err := b.ownBytesOrStale(handle, old); err != nil {
		return err
	}
	if err := b.invalidate(); err != nil {
		return err
	}
	err = b.eventually("opening the new version", func() error {
		got, err := os.ReadFile(filepath.Join(b.Root(), old.Path))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, next.Content()) && !bytes.Equal(got, old.Content()) {
			return errMixed
		}
		return next.Check(got, 0)
	})
	if err != nil {
		return err
	}
	return b.ownBytesOrStale(handle, old)
}

var errMixed = errors.New("the bytes are of neither version")

func objectDeleted(b *breaking) error {
	deleted := b.cold[len(b.cold)-1]
	handle, err := os.Open(filepath.Join(b.Root(), deleted.Path))
	if err != nil {
		return err
	}
	defer handle.Close()
	if err := b.Store.OSS.Delete("test-bucket", deleted.Path); err != nil {
		return err
	}
	b.cold = b.cold[:len(b.cold)-1]
	if err := b.ownBytesOrStale(handle, deleted); err != nil {
		return err
	}
	if err := b.invalidate(); err != nil {
		return err
	}
	err = b.eventually("losing the name", func() error {
		_, err := os.Stat(filepath.Join(b.Root(), deleted.Path))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("it still exists: %w", err)
	})
	if err != nil {
		return err
	}
	return b.ownBytesOrStale(handle, deleted)
}

// ownBytesOrStale reads all of a handle in pieces. Each must return the version's
// bytes or ESTALE.
func (b *breaking) ownBytesOrStale(handle *os.File, version dataset.File) error {
	p := make([]byte, 10_000)
	for offset := int64(0); offset < version.Size; offset += int64(len(p)) {
		n, err := handle.ReadAt(p, offset)
		if errors.Is(err, syscall.ESTALE) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("a handle opened before: %w", err)
		}
		if err := version.Check(p[:n], offset); err != nil {
			return fmt.Errorf("a handle opened before: %w", err)
		}
	}
	return nil
}

// invalidate discards all cached names.
func (b *breaking) invalidate() error {
	masters, err := b.Masters()
	if err != nil {
		return err
	}
	_, err = masters.Invalidate(b, b.MountPath())
	return err
}

// store applies a fault to every read of an object for some seconds, while cold
// files are read.
func store(fault ossserver.Fault) func(*breaking) error {
	return func(b *breaking) error {
		b.Store.OSS.SetFault(func(r ossserver.Request) *ossserver.Fault {
			if r.Kind == ossserver.GetObject || r.Kind == ossserver.HeadObject {
				return &fault
			}
			return nil
		})
		paused := b.pause(5 * time.Second)
		b.Store.OSS.SetFault(nil)
		return paused
	}
}

// hungReaders has many readers wait for objects that the store does not send, and
// then has another one read cached files. Only then does the store respond.
func hungReaders(b *breaking) error {
	var hung atomic.Int64
	prefix := filepath.Dir(b.cold[0].Path)
	b.Store.OSS.SetFault(func(r ossserver.Request) *ossserver.Fault {
		if !strings.Contains(r.Key, prefix) {
			return nil
		}
		hung.Add(1)
		return &ossserver.Fault{Hang: true}
	})
	heal := sync.OnceFunc(func() { b.Store.OSS.SetFault(nil) })
	defer heal()
	waiting := verify.Start(verify.Options{Root: b.Root(), Files: b.cold[:coldFiles-1], Threads: 150, Hold: 1})
	defer waiting.Stop()
	if err := b.eventually("reads of the store that hangs", func() error {
		if hung.Load() == 0 {
			return errors.New("none has begun")
		}
		return nil
	}); err != nil {
		return err
	}
	others := verify.Start(verify.Options{Root: b.Root(), Files: b.warm, Threads: 4, Hold: 4})
	err := b.readOnOf(others, 2000)
	if report := others.Stop(); err == nil && (report.Failed > 0 || report.Wrong > 0) {
		err = fmt.Errorf("readers of cached files: %s: %v", report, report.Errors)
	}
	heal()
	if err == nil {
		err = b.readOnOf(waiting, 500)
	}
	if report := waiting.Stop(); err == nil && (report.Failed > 0 || report.Wrong > 0) {
		err = fmt.Errorf("readers that waited: %s: %v", report, report.Errors)
	}
	return err
}

// listsWithoutToken truncates every listing without saying how it continues, for
// some seconds. Meanwhile a directory is listed and a name in it looked up that such
// a listing lacks.
func listsWithoutToken(b *breaking) error {
	b.Store.OSS.SetFault(func(r ossserver.Request) *ossserver.Fault {
		if r.Kind == ossserver.ListObjectsV2 {
			return &ossserver.Fault{NoToken: true}
		}
		return nil
	})
	defer b.Store.OSS.SetFault(nil)
	if err := b.invalidate(); err != nil {
		return err
	}
	last := filepath.Join(b.Root(), b.cold[len(b.cold)-1].Path)
	listed := make(chan error, 1)
	go func() {
		entries, err := os.ReadDir(filepath.Dir(last))
		if err == nil && len(entries) < len(b.cold) {
			err = fmt.Errorf("a listing shows %d of %d names and no error", len(entries), len(b.cold))
		}
		listed <- err
	}()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if _, err := os.Stat(last); err != nil {
			return fmt.Errorf("a name that an incomplete listing lacks: %w", err)
		}
		if err := b.pause(50 * time.Millisecond); err != nil {
			return err
		}
	}
	b.Store.OSS.SetFault(nil)
	select {
	case err := <-listed:
		return err
	case <-b.Done():
		return b.Err()
	}
}

// random injects faults in random order for a duration.
func random(t *testing.T, s *testbed.Testbed, warm []dataset.File, d time.Duration) {
	from := cmp.Or(*seed, rand.Uint64())
	t.Logf("seed %d", from)
	choose := rand.New(rand.NewPCG(from, 0))
	table := rows()
	for end := time.Now().Add(d); time.Now().Before(end); {
		r := table[choose.IntN(len(table))]
		if r.name == "object replaced" || r.name == "object deleted" {
			continue // each works once on its own files
		}
		t.Logf("%s: %s", r.name, r.run(t, s, warm))
	}
}
