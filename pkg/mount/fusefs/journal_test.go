//go:build linux

package fusefs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newJournal(t *testing.T, dir string, session [16]byte) *journal {
	t.Helper()
	j := &journal{path: filepath.Join(dir, journalName), session: session, created: time.Unix(1700000000, 5)}
	if err := j.rewrite(func(func(...op) error) error { return nil }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j
}

// loaded returns the number of records that a successor loads, and the time of
// creation.
func loaded(t *testing.T, dir string, session [16]byte) (records int, created time.Time) {
	t.Helper()
	created, err := loadJournal(dir, session, func(uint64, []op) { records++ })
	if err != nil {
		t.Fatal(err)
	}
	return records, created
}

func TestTornTail(t *testing.T) {
	dir, session := t.TempDir(), [16]byte{1}
	j := newJournal(t, dir, session)
	var ends []int64
	for i := range 3 {
		if err := j.append(uint64(i), []op{{kind: opCursor, handle: 1, names: []string{"some", "names"}}}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.size)
	}
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	for n := journalHead; n <= len(whole); n++ {
		if err := os.WriteFile(j.path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, end := range ends {
			if int64(n) >= end {
				want++
			}
		}
		if got, _ := loaded(t, dir, session); got != want {
			t.Errorf("with %d of %d bytes: loaded %d records, want %d", n, len(whole), got, want)
		}
	}
}

func TestJournalOfAnotherMount(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"another session":  func(b []byte) []byte { return b },
		"another version":  func(b []byte) []byte { b[8]++; return b },
		"another magic":    func(b []byte) []byte { b[0]++; return b },
		"a damaged header": func(b []byte) []byte { b[30]++; return b },
		"empty":            func([]byte) []byte { return nil },
	} {
		dir := t.TempDir()
		j := newJournal(t, dir, [16]byte{1})
		if err := j.append(1, []op{{kind: opRelease, handle: 1}}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(j.path)
		if err != nil {
			t.Fatal(err)
		}
		session := [16]byte{1}
		if name == "another session" {
			session = [16]byte{2}
		}
		if err := os.WriteFile(j.path, damage(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := loaded(t, dir, session); got != 0 {
			t.Errorf("%s: loaded %d records, want none", name, got)
		}
	}
}

func TestRewriteReplacesTheJournal(t *testing.T) {
	dir, session := t.TempDir(), [16]byte{1}
	j := newJournal(t, dir, session)
	for range 100 {
		if err := j.append(1, []op{{kind: opForget, node: 1, count: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	before := j.size
	if err := j.rewrite(func(emit func(...op) error) error { return emit(op{kind: opStale, node: 1}) }); err != nil {
		t.Fatal(err)
	}
	if err := j.append(2, []op{{kind: opStale, node: 2}}); err != nil {
		t.Fatal(err)
	}
	got, created := loaded(t, dir, session)
	if got != 2 || j.size >= before {
		t.Errorf("loaded %d records from %d bytes, want 2 records in less than %d bytes", got, j.size, before)
	}
	if !created.Equal(j.created) {
		t.Errorf("created %v, want %v", created, j.created)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(j.path), ".*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("temporary files were not removed: %v, error %v", left, err)
	}
}

func FuzzJournal(f *testing.F) {
	j := journal{session: [16]byte{1}, created: time.Unix(0, 1)}
	head := j.head()
	f.Add(head)
	f.Add(appendRecord(head, 1, []op{{kind: opForget, node: 1, count: 1}}))
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := openTable(dir, j.session, nil, &counter{}, discard())
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := table.node(rootID); !ok || !n.dir || n.path != "/" {
			t.Errorf("the root is %+v, want directory /", n)
		}
		_ = table.close()
	})
}

// TestOpenTableRemovesAbandonedFiles covers servers that were killed while they
// compacted the journal: each leaves a temporary file.
func TestOpenTableRemovesAbandonedFiles(t *testing.T) {
	dir := t.TempDir()
	abandoned := filepath.Join(dir, "."+journalName+".1.tmp")
	if err := os.WriteFile(abandoned, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(abandoned, old, old); err != nil {
		t.Fatal(err)
	}
	table, err := openTable(dir, [16]byte{1}, nil, &counter{}, discard())
	if err != nil {
		t.Fatal(err)
	}
	if err := table.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(abandoned); !os.IsNotExist(err) {
		t.Errorf("the abandoned file: %v, want it removed", err)
	}
}
