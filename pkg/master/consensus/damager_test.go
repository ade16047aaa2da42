package consensus

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// damager damages a member's directory. It returns a description of what it did.
type damager struct {
	r *rand.Rand
	h memberDir
	// pages maps the type of the pages of the log to their numbers.
	pages map[string][]int
}

// newDamager returns a damager of the directory of a member that does not run.
func newDamager(t *testing.T, r *rand.Rand, h memberDir) *damager {
	t.Helper()
	d := &damager{r: r, h: h, pages: map[string][]int{}}
	db, err := bbolt.Open(h.log(), 0o600, &bbolt.Options{NoFreelistSync: true, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for i := 0; ; i++ {
			page, err := tx.Page(i)
			if err != nil || page == nil {
				return err
			}
			d.pages[page.Type] = append(d.pages[page.Type], i)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *damager) damage(class string) (string, error) {
	size := os.Getpagesize()
	switch class {
	case "meta page":
		page := d.r.IntN(2)
		if d.r.IntN(4) == 0 {
			return d.zero(d.h.log(), page*size, size)
		}
		return d.flip(d.h.log(), page*size, 80)
	case "branch page", "leaf page", "free page":
		pages := d.pages[strings.TrimSuffix(class, " page")]
		if len(pages) == 0 {
			return "no such page", nil
		}
		page := pages[d.r.IntN(len(pages))]
		switch d.r.IntN(6) {
		case 0:
			return d.zero(d.h.log(), page*size, size)
		case 1:
			return d.zero(d.h.log(), page*size+512*d.r.IntN(size/512), 512)
		case 2:
			// Headers and elements.
			return d.flip(d.h.log(), page*size, 64)
		}
		return d.flip(d.h.log(), page*size, size)
	case "stable key":
		return d.stableKey()
	case "log truncated":
		info, err := os.Stat(d.h.log())
		if err != nil {
			return "", err
		}
		return d.truncate(d.h.log(), int64(size)*d.r.Int64N(info.Size()/int64(size)))
	case "log lost":
		if d.r.IntN(2) == 0 {
			return d.truncate(d.h.log(), 0)
		}
		return "removed", os.Remove(d.h.log())
	case "identity":
		return d.file(d.h.identity())
	case "tail record":
		if d.r.IntN(3) == 0 {
			return d.zero(d.h.tail(), d.r.IntN(2)*tailSlot, tailSlot)
		}
		if d.r.IntN(3) == 0 {
			return d.flip(d.h.tail(), d.r.IntN(2)*tailSlot, 256)
		}
		return d.file(d.h.tail())
	}
	return d.snapshot(class)
}

// snapshot damages one of the snapshots, the newest in most cases.
func (d *damager) snapshot(class string) (string, error) {
	all, err := filepath.Glob(filepath.Join(d.h.snapshots(), "snapshots", "*-*"))
	if err != nil || len(all) == 0 {
		return "no snapshot", err
	}
	dir := all[len(all)-1-min(d.r.IntN(4)/3, len(all)-1)]
	switch class {
	case "snapshot state":
		return d.file(filepath.Join(dir, stateFile))
	case "snapshot metadata":
		return d.file(filepath.Join(dir, []string{metaFile, metaFile, sumFile}[d.r.IntN(3)]))
	}
	switch d.r.IntN(4) {
	case 0:
		return "removed " + filepath.Base(dir), os.RemoveAll(dir)
	case 1:
		return "renamed " + filepath.Base(dir), os.Rename(dir, dir+"9")
	case 2:
		return "copied " + filepath.Base(dir), os.CopyFS(filepath.Join(filepath.Dir(dir), "9"+filepath.Base(dir)), os.DirFS(dir))
	}
	odd := filepath.Join(filepath.Dir(dir), []string{"lost+found", "1-2-3", "-", "9-9-x"}[d.r.IntN(4)])
	return "added " + filepath.Base(odd), os.MkdirAll(odd, 0o700)
}

// file damages a small file.
func (d *damager) file(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	switch d.r.IntN(10) {
	case 0:
		return "removed " + filepath.Base(path), os.Remove(path)
	case 1:
		return d.truncate(path, d.r.Int64N(max(info.Size(), 1)))
	case 2:
		return d.truncate(path, 0)
	case 3:
		at := d.r.IntN(max(int(info.Size()), 1))
		return d.zero(path, at, min(512, int(info.Size())-at))
	}
	return d.flip(path, 0, int(info.Size()))
}

func (d *damager) stableKey() (string, error) {
	raw, err := os.ReadFile(d.h.log())
	if err != nil {
		return "", err
	}
	key := [][]byte{keyTerm, keyVoteTerm, keyCandidate}[d.r.IntN(3)]
	var found []int
	for at := 0; ; at++ {
		i := bytes.Index(raw[at:], key)
		if i < 0 {
			break
		}
		at += i
		found = append(found, at)
	}
	if len(found) == 0 {
		return "no such key", nil
	}
	return d.flip(d.h.log(), found[d.r.IntN(len(found))], len(key)+12)
}

func (d *damager) flip(path string, from, length int) (string, error) {
	return d.change(path, from, length, func(p []byte) string {
		at, bit := d.r.IntN(len(p)), d.r.IntN(8)
		p[at] ^= 1 << bit
		return fmt.Sprintf("bit %d of byte %d of %s", bit, from+at, filepath.Base(path))
	})
}

func (d *damager) zero(path string, from, length int) (string, error) {
	return d.change(path, from, length, func(p []byte) string {
		clear(p)
		return fmt.Sprintf("%d bytes from %d of %s are zero", len(p), from, filepath.Base(path))
	})
}

func (d *damager) change(path string, from, length int, change func([]byte) string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil || from >= len(raw) {
		return "nothing", err
	}
	what := change(raw[from:min(from+length, len(raw))])
	return what, os.WriteFile(path, raw, 0o600)
}

func (d *damager) truncate(path string, size int64) (string, error) {
	return fmt.Sprintf("%s truncated to %d bytes", filepath.Base(path), size), os.Truncate(path, size)
}
