package verify

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
)

func set(t *testing.T) (string, []dataset.File) {
	t.Helper()
	files := dataset.Plan(dataset.Options{Files: 20, Large: 2, LargeSize: 300_000, SmallSize: 9000})
	root := t.TempDir()
	if err := dataset.Write(root, files); err != nil {
		t.Fatal(err)
	}
	return root, files
}

func readFor(t *testing.T, root string, files []dataset.File, until func(Report) bool) Report {
	t.Helper()
	r := Start(Options{Root: root, Files: files, Threads: 2, Hold: 2})
	deadline := time.Now().Add(20 * time.Second)
	for !until(r.Report()) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	return r.Stop()
}

func TestReaderOfIntactFiles(t *testing.T) {
	root, files := set(t)
	report := readFor(t, root, files, func(r Report) bool { return r.Reads > 500 })
	if report.Failed != 0 || report.Wrong != 0 || report.Bytes == 0 {
		t.Fatalf("%s: %v", report, report.Errors)
	}
}

func TestReaderFindsWrongBytes(t *testing.T) {
	root, files := set(t)
	for _, f := range files {
		content := f.Content()
		for i := range content {
			content[i] ^= 0x55
		}
		if err := os.WriteFile(filepath.Join(root, f.Path), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if report := readFor(t, root, files, func(r Report) bool { return r.Wrong > 0 }); report.Wrong == 0 {
		t.Fatal("wrong bytes were not found")
	}
}

func TestReaderCountsFailedReads(t *testing.T) {
	root, files := set(t)
	if err := os.RemoveAll(filepath.Join(root, "models")); err != nil {
		t.Fatal(err)
	}
	if report := readFor(t, root, files, func(r Report) bool { return r.Failed > 0 }); report.Failed == 0 {
		t.Fatal("failing reads were not found")
	}
}

func TestWalk(t *testing.T) {
	root, files := set(t)
	if _, err := Walk(root, ".", files); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"a file too many": func() error { return os.WriteFile(filepath.Join(root, "extra"), nil, 0o644) },
		"a file missing":  func() error { return os.Remove(filepath.Join(root, files[0].Path)) },
		"a short file":    func() error { return os.Truncate(filepath.Join(root, files[1].Path), 5) },
	} {
		t.Run(name, func(t *testing.T) {
			root, files = set(t)
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if _, err := Walk(root, ".", files); err == nil {
				t.Fatal("not found")
			}
		})
	}
}
