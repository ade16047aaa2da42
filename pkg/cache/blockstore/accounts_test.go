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
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
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
		var charged, files, sealed int64
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
		for _, problem := range queues(s, tier) {
			complain("%s", problem)
		}
		if tier.used != charged {
			complain("tier uses %d, versions are charged %d", tier.used, charged)
		}
		if tier.reserved != 0 || tier.evicting != 0 || tier.dirtyBytes != 0 {
			complain("%d bytes are reserved, %d being evicted, %d dirty", tier.reserved, tier.evicting, tier.dirtyBytes)
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
	if s.memory.free != s.memory.size || s.memory.loadingAll != 0 || len(s.memory.queue) != 0 {
		complain("memory is still held: %d of %d are free, %d lingers, %d is loading, %d wait",
			s.memory.free, s.memory.size, s.recentBytes, s.memory.loadingAll, len(s.memory.queue))
	}
	return problems
}

// queues compares the lists and sums of the eviction with the versions. The
// caller must hold s.mu.
func queues(s *Store, t *tier) []string {
	var problems []string
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	e := t.evict
	var bytes [classes]int64
	var count [classes]int
	var committed, claimed int64
	var recalled [classes]int64
	idle := map[*version]bool{}
	for _, v := range s.versions {
		if v.tier != t || v.class == unqueued {
			continue
		}
		bytes[v.class] += v.charged
		count[v.class]++
		recalled[v.class] += v.recalledBytes()
		claimed += v.full
		if v.class == protected {
			committed += v.full
		}
		if v.idle() {
			idle[v] = true
		}
	}
	lists := []*list{&e.doomed, &e.copies, &e.probation}
	for i := range e.levels {
		lists = append(lists, &e.levels[i])
	}
	for _, l := range lists {
		var last *version
		for v := l.head; v != nil; v = v.next {
			if v.prev != last || e.listOf(v) != l || !v.listed || !idle[v] {
				complain("%s is listed wrongly: removed %v, idle %v", v.key.Key, v.removed, v.idle())
			}
			delete(idle, v)
			last = v
		}
		if l.tail != last {
			complain("the tail of a list is wrong")
		}
	}
	for v := range idle {
		complain("%s is idle and cannot be evicted", v.key.Key)
	}
	if recalled != e.recalled {
		complain("the classes have %v recalled bytes, the versions %v", e.recalled, recalled)
	}
	if bytes != e.bytes || count != e.count || committed != e.committed || claimed != e.claimed {
		complain("the classes count %v, %v, %d and %d, the versions have %v, %v, %d and %d",
			e.bytes, e.count, e.committed, e.claimed, bytes, count, committed, claimed)
	}
	return problems
}
