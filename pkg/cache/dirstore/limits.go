package dirstore

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// limits bound the number of entries of one directory and of all.
type limits struct{ entries, total int64 }

// Limits while the database is in memory.
const (
	memoryEntries = 100_000
	memoryTotal   = 200_000
)

func (s *Store) limits() limits {
	if s.table.onDisk() {
		return limits{s.config.MaxEntries, s.config.MaxTotal}
	}
	return limits{min(s.config.MaxEntries, memoryEntries), min(s.config.MaxTotal, memoryTotal)}
}

func (t *table) onDisk() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.disk
}

// size returns the number of entries.
func (t *table) size() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.total
}

// oldest returns the directories in the order of their listings, oldest first.
func (t *table) oldest() []dirID {
	type dated struct {
		id     dirID
		listed int64
	}
	var all []dated
	t.read(func(db *pebble.DB) error {
		return scan(db, []byte{headerKey}, func(key, value []byte) error {
			id, err := dirIDOf(key)
			if err != nil {
				return err
			}
			h, err := decodeHeader(value)
			all = append(all, dated{id, h.listed.UnixNano()})
			return err
		})
	})
	slices.SortFunc(all, func(a, b dated) int { return int(min(1, max(-1, a.listed-b.listed))) })
	out := make([]dirID, len(all))
	for i, d := range all {
		out[i] = d.id
	}
	return out
}
