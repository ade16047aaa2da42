package fault

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
	"github.com/jindo-io/jindo/test/verify"
)

var (
	bin      = flag.String("bin", filepath.Join("..", "..", "bin"), "directory of the binaries")
	update   = flag.Bool("update", false, "write docs/reference/faults.md")
	duration = flag.Duration("duration", 0, "after the table, inject faults at random for this long")
	seed     = flag.Uint64("seed", 0, "seed of the random faults; 0 chooses one")
)

const (
	// limit of one row.
	limit = 3 * time.Minute
	// coldFiles is how many files are first read in each row.
	coldFiles = 40
	// tiers of each worker. The large object fits into none of them.
	tiers = "[{mediumtype: HDD, path: '/mnt/disk1,/mnt/disk2', quotaList: '40Mi,40Mi', high: '0.8', low: '0.7'}]"
	// smallDisk is the size of the file system of one worker's tier, in bytes. The
	// data set does not fit into it.
	smallDisk = 4 << 20
)

// large is larger than any tier.
var large = dataset.File{Path: "large/object", Size: 64 << 20}

// stripe is the stripe size. The large objects have several stripes.
const stripe = 4 << 20

// striped fits into a tier, and is first read while a worker is down.
var striped = dataset.File{Path: "striped/object", Size: 5*stripe + 12345}

// breaking is a running system and the files of a row.
type breaking struct {
	context.Context
	*testbed.Testbed
	// warm files are cached; cold files were not read before this row. The last
	// cold file is not read by the reader: rows replace or delete it.
	warm, cold []dataset.File
	reader     *verify.Reader
}

func TestFaults(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: need root to mount and to limit a disk")
	}
	table := rows()
	warm := dataset.Plan(dataset.Options{Files: 200, Large: 3, LargeSize: 6 << 20, SmallSize: 64 << 10})
	set := append(slices.Clone(warm), large, striped)
	set = append(set, manyFiles()...)
	for _, r := range table {
		set = append(set, r.files()...)
	}
	s := open(t, set)
	if _, err := verify.Walk(s.Root(), "train", set); err != nil {
		t.Fatal(err)
	}

	results := []string{fmt.Sprintf("%-26s %8s %7s %6s %12s", "fault", "reads", "failed", "wrong", "worst stall")}
	for _, r := range table {
		t.Run(r.name, func(t *testing.T) {
			report := r.run(t, s, warm)
			results = append(results, fmt.Sprintf("%-26s %8d %7d %6d %12s", r.name, report.Reads, report.Failed, report.Wrong, report.Worst.Round(time.Millisecond)))
		})
	}
	if *duration > 0 {
		t.Run("random", func(t *testing.T) { random(t, s, warm, *duration) })
	}
	t.Logf("\n%s", strings.Join(results, "\n"))
}

// open starts a testbed whose second worker has a disk that is too small.
func open(t *testing.T, set []dataset.File) *testbed.Testbed {
	t.Helper()
	binaries, err := filepath.Abs(*bin)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := testbed.Dir(binaries, "fault")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var small, master string
	s, err := testbed.Open(ctx, testbed.Options{
		Bin: binaries, Dir: dir, Store: "oss", Files: set, Out: t.Output(), Tiers: tiers, StripeSize: stripe,
		FuseArgs: []string{"-oattr_timeout=1", "-oentry_timeout=1", "-onegative_timeout=0"},
		Prepare: func(s *testbed.Testbed) error {
			small = filepath.Join(s.Layout.Dir, "tiers", "hadoop-jindofs-worker-1", "0")
			if err := os.MkdirAll(small, 0o700); err != nil {
				return err
			}
			if err := syscall.Mount("jindo-fault", small, "tmpfs", 0, fmt.Sprintf("size=%d", smallDisk)); err != nil {
				return err
			}
			master = masterData(s.Layout.Dir, smallMaster)
			if err := os.MkdirAll(master, 0o700); err != nil {
				return err
			}
			return syscall.Mount("jindo-fault", master, "tmpfs", 0, fmt.Sprintf("size=%d", smallMasterDisk))
		},
	})
	if err != nil {
		_ = syscall.Unmount(small, syscall.MNT_DETACH)
		_ = syscall.Unmount(master, syscall.MNT_DETACH)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		down, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		pids, _ := s.PIDs()
		_ = syscall.Unmount(small, syscall.MNT_DETACH)
		_ = syscall.Unmount(master, syscall.MNT_DETACH)
		if err := s.Down(down); err != nil {
			t.Error(err)
		}
		if err := s.Left(pids); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s
}

// files returns the files that are first read in this row.
func (r row) files() []dataset.File {
	files := make([]dataset.File, coldFiles)
	for i := range files {
		files[i] = dataset.File{Path: fmt.Sprintf("cold/%s/%02d", strings.ReplaceAll(r.name, " ", "-"), i), Size: int64(i) * 5003}
	}
	return files
}

func (r row) run(t *testing.T, s *testbed.Testbed, warm []dataset.File) verify.Report {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	b := &breaking{Context: ctx, Testbed: s, warm: warm, cold: r.files()}
	b.reader = verify.Start(verify.Options{
		Root: s.Root(), Files: slices.Concat(warm, b.cold[:coldFiles-1]),
		Threads: 4, Hold: 4, Pause: time.Millisecond,
	})
	err := b.readOn(200)
	if err == nil {
		err = r.inject(b)
	}
	if err == nil {
		err = b.readOn(500)
	}
	report := b.reader.Stop()
	if err != nil {
		t.Fatalf("%v (%s: %v)", err, report, report.Errors)
	}
	if report.Wrong > 0 {
		t.Errorf("wrong bytes: %s: %v", report, report.Errors)
	}
	for _, err := range report.Errors {
		if r.allowed == nil || !r.allowed(err) {
			t.Errorf("a reader saw %v", err)
		}
	}
	// After the repair everything must be readable.
	if err := b.eventually("reading every cold file", func() error {
		_, err := verify.Walk(s.Root(), filepath.Dir(b.cold[0].Path), b.cold)
		return err
	}); err != nil {
		t.Error(err)
	}
	return report
}

// readOn waits until the reader of the row has made n more reads.
func (b *breaking) readOn(n int64) error { return b.readOnOf(b.reader, n) }

// readOnOf waits until a reader has made n more reads.
func (b *breaking) readOnOf(reader *verify.Reader, n int64) error {
	before := reader.Report().Reads
	for reader.Report().Reads < before+n {
		if err := b.pause(10 * time.Millisecond); err != nil {
			return fmt.Errorf("waiting for readers: %w", err)
		}
	}
	return nil
}

func (b *breaking) pause(d time.Duration) error {
	select {
	case <-b.Done():
		return b.Err()
	case <-time.After(d):
		return nil
	}
}

// eventually retries until try succeeds; an error has the last cause.
func (b *breaking) eventually(what string, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		if paused := b.pause(200 * time.Millisecond); paused != nil {
			return fmt.Errorf("%s: %w", what, errors.Join(paused, err))
		}
	}
}

// TestDocument checks that the document matches the table.
func TestDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!-- Written by go test ./test/fault -run TestDocument -update. -->\n\n# Faults\n\n")
	b.WriteString("What readers of a mount see during a fault. Each row is a test that injects the fault while readers check every byte; wrong bytes are never allowed.\n\n")
	b.WriteString("| fault | readers see |\n|---|---|\n")
	for _, r := range rows() {
		fmt.Fprintf(&b, "| %s | %s |\n", r.name, r.expected)
	}
	path := filepath.Join("..", "..", "docs", "reference", "faults.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != b.String() {
		t.Fatalf("%s is out of date (%v): run go test ./test/fault -run TestDocument -update", path, err)
	}
}
