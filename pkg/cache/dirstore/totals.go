package dirstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// count is the state of counting a mount. Store.mu guards it.
type count struct {
	mount   Mount
	running bool
	loaded  bool
	totals  totals
}

// totals are the totals of a mount; objects is -1 if unknown.
type totals struct {
	objects, bytes int64
	at             time.Time
	took           time.Duration
	epoch          uint64
}

// track records a mount whose root is requested, so that it is counted by the
// worker that owns the root only.
func (s *Store) track(m Mount, dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[m.ID]
	if c == nil && dir != "" {
		return
	}
	if c == nil {
		c = &count{totals: totals{objects: -1, bytes: -1}}
		s.counts[m.ID] = c
	}
	if m.Epoch >= c.mount.Epoch {
		c.mount = m
	}
}

// Totals returns the totals of the last complete count of a mount's keys, or -1
// if there is none. The first call, and one after the count has expired, starts
// a count in the background if the mount's root was requested or Count was
// called, so that only the root's owner counts. Keys that end with a slash are
// not counted. bytes is the sum of the sizes of the objects.
func (s *Store) Totals(mountID string) (objects, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[mountID]
	if c == nil {
		return -1, -1
	}
	if !c.loaded {
		c.loaded = true
		if kept, ok := s.table.totals(mountID); ok {
			c.totals = kept
		}
	}
	now := s.config.Clock()
	old := c.totals.epoch < c.mount.Epoch || now.Sub(c.totals.at) > max(s.config.CountEvery, 100*c.totals.took)
	if old && !c.running {
		mount := c.mount // A newer epoch may arrive while it is counted.
		c.running = s.start(func() { s.count(c, mount) })
	}
	return c.totals.objects, c.totals.bytes
}

// Count makes Totals count a mount before the first request for a name.
func (s *Store) Count(m Mount) { s.track(m, "") }

func (s *Store) count(c *count, m Mount) {
	began := s.config.Clock()
	objects, bytes, err := s.countKeys(m)
	if err != nil {
		s.config.Logger.Info("cannot count a mount", "mount", m.ID, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.running = false
	if err != nil {
		// Keep the old totals until it is time to retry.
		c.totals.at, c.totals.epoch = s.config.Clock(), m.Epoch
		return
	}
	c.totals = totals{objects, bytes, began, s.age(began), m.Epoch}
	s.table.setTotals(m.ID, c.totals)
}

func (s *Store) countKeys(m Mount) (objects, bytes int64, err error) {
	options := ufs.ListOptions{}
	for {
		page, err := s.page(m, options)
		if err != nil {
			return 0, 0, err
		}
		for _, o := range page.Objects {
			if strings.HasSuffix(o.Key, "/") {
				continue
			}
			objects++
			bytes += o.Size
		}
		if objects > s.config.MaxCounted {
			return 0, 0, fmt.Errorf("%s has more than %d objects", m.Store, s.config.MaxCounted)
		}
		if page.Next == "" {
			return objects, bytes, nil
		}
		options.Continuation = page.Next
	}
}

func (t totals) encode() []byte {
	b := binary.AppendVarint(nil, t.objects)
	b = binary.AppendVarint(b, t.bytes)
	b = binary.AppendVarint(b, t.at.UnixNano())
	b = binary.AppendVarint(b, int64(t.took))
	b = binary.AppendUvarint(b, t.epoch)
	return seal(b)
}

func decodeTotals(b []byte) (totals, error) {
	r, err := unseal(b)
	if err != nil {
		return totals{}, err
	}
	t := totals{objects: r.varint(), bytes: r.varint()}
	t.at = time.Unix(0, r.varint())
	t.took = time.Duration(r.varint())
	t.epoch = r.uvarint()
	if !r.done() || t.objects < -1 || t.bytes < -1 || t.took < 0 {
		return totals{}, errDamaged
	}
	return t, nil
}

// totals returns the stored totals of a mount.
func (t *table) totals(mount string) (totals, bool) {
	var kept totals
	ok := t.read(func(db *pebble.DB) error {
		value, closer, err := db.Get(append([]byte{totalsKey}, mount...))
		if err != nil {
			return err
		}
		defer func() { _ = closer.Close() }()
		kept, err = decodeTotals(value)
		return err
	})
	return kept, ok
}

func (t *table) setTotals(mount string, kept totals) {
	t.read(func(db *pebble.DB) error {
		return errors.Join(db.Set(append([]byte{totalsKey}, mount...), kept.encode(), pebble.NoSync))
	})
}
