package blockstore

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"
)

// checkAccounts compares the counters of the store with its versions and with
// the files on disk. The store must be settled.
func checkAccounts(t *testing.T, s *Store) {
	t.Helper()
	var problems []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if problems = accounts(t, s); len(problems) == 0 {
			return
		}
	}
	for _, p := range problems {
		t.Error(p)
	}
}

func accounts(t *testing.T, s *Store) []string {
	t.Helper()
	var problems []string
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	s.dropStale(s.config.Now().Add(2 * lingerFor))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tier := range s.tiers {
		var charged, files, sealed, queued int64
		names := map[string]bool{}
		for _, v := range s.versions {
			if v.tier != tier {
				continue
			}
			charged += v.charged
			if v.created {
				files++
				names[filepath.Base(v.dataPath())] = true
				names[filepath.Base(v.metaPath())] = true
			}
			if v.sealed {
				sealed++
			}
			if v.npresent != v.present.count() {
				complain("%s: %d blocks present, counted %d", v.key.Key, v.present.count(), v.npresent)
			}
			want := pages(metaSize(v.key, v.blocks))
			for i := range v.blocks {
				if v.present.has(i) {
					_, n := blockRange(v.key, s.config.BlockSize, i)
					want += pages(n)
				}
			}
			if v.charged != want {
				complain("%s is charged %d, its blocks take %d", v.key.Key, v.charged, want)
			}
		}
		for _, q := range []*queue{&tier.evict.small, &tier.evict.main, &tier.evict.doomed} {
			var bytes int64
			var count int
			for v := q.head; v != nil; v = v.next {
				bytes += v.charged
				count++
				if v.removed {
					complain("%s is removed and queued", v.key.Key)
				}
			}
			if bytes != q.bytes || count != q.count {
				complain("a queue counts %d versions and %d bytes, and holds %d and %d", q.count, q.bytes, count, bytes)
			}
			queued += int64(count)
		}
		if tier.used != charged {
			complain("tier uses %d, versions are charged %d", tier.used, charged)
		}
		if tier.used > tier.Quota {
			complain("tier uses %d of %d", tier.used, tier.Quota)
		}
		if tier.filesHere != files || tier.sealedHere != sealed {
			complain("tier counts %d files and %d sealed, the versions have %d and %d", tier.filesHere, tier.sealedHere, files, sealed)
		}
		if err := filepath.WalkDir(tier.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "lock" || d.Name() == "probe" {
				return err
			}
			if !names[d.Name()] {
				complain("%s is on disk and not in the index", path)
			}
			delete(names, d.Name())
			return nil
		}); err != nil {
			complain("walking: %v", err)
		}
		for name := range names {
			complain("%s is in the index and not on disk", name)
		}
	}
	if s.memory.size > 0 && !s.memory.budget.TryAcquire(s.memory.size) {
		complain("memory is still held: %d lingers, %d is dirty", s.recentBytes, s.dirtyBytes)
	} else {
		s.memory.budget.Release(s.memory.size)
	}
	return problems
}
