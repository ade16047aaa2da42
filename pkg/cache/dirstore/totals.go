package dirstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// Totals are the totals of the keys of a mount.
type Totals struct {
	// Objects and Bytes are -1 while unknown. Keys that end with a slash are not
	// counted. Bytes is the sum of the sizes.
	Objects, Bytes int64
	// AtLeast is set if the count ended early: all numbers are lower bounds.
	AtLeast bool
	// Hidden is the number of keys that are not visible as files, because they
	// cannot be their paths. Objects does not include them.
	Hidden int64
}

// unknownTotals are the totals of a mount that was not counted.
var unknownTotals = Totals{Objects: -1, Bytes: -1} //nolint:gochecknoglobals // A constant.

// count is the state of counting a mount. Store.mu guards it.
type count struct {
	mount   Mount
	running bool
	loaded  bool
	totals  totals
}

// totals are the totals of a mount, and when they were counted.
type totals struct {
	Totals
	at    time.Time
	took  time.Duration
	epoch uint64
	// spent is the number of counts in a row that ended at the budget, failed
	// that of counts in a row that ended with an error.
	spent, failed uint64
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
		c = &count{totals: totals{Totals: unknownTotals}}
		s.counts[m.ID] = c
	}
	if m.Epoch >= c.mount.Epoch {
		c.mount = m
	}
}

// Totals returns Objects and Bytes of Counted.
func (s *Store) Totals(mountID string) (objects, bytes int64) {
	t := s.Counted(mountID)
	return t.Objects, t.Bytes
}

// Counted returns the totals of the last count of a mount's keys. The first call,
// and one after the count has expired, starts a count in the background if the
// mount's root was requested or Count was called, so that only the root's owner
// counts. It does not wait for the store.
//
// A count ends at a budget of objects, requests and time; what was counted until
// then is a lower bound. Such a count is rarely repeated: see Config.RecountEvery.
func (s *Store) Counted(mountID string) Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[mountID]
	if c == nil {
		return unknownTotals
	}
	if !c.loaded {
		c.loaded = true
		if kept, ok := s.table.totals(mountID); ok {
			c.totals = kept
		}
	}
	if !c.running && s.due(c) {
		mount := c.mount // A newer epoch may arrive while it is counted.
		c.running = s.start(func() { s.count(c, mount) })
	}
	return c.totals.Totals
}

// Count makes Counted count a mount before the first request for a name.
func (s *Store) Count(m Mount) { s.track(m, "") }

// maxBackoff is the largest number of times that an interval is doubled.
const maxBackoff = 3

// due reports whether a mount is to be counted again. A new epoch makes a complete
// count expire at once, but not one that ended at its budget: the bucket is still
// large.
func (s *Store) due(c *count) bool {
	age := s.config.Clock().Sub(c.totals.at)
	every := max(s.config.CountEvery, 100*c.totals.took)
	switch {
	case c.totals.spent > 0:
		return age > max(every, s.config.RecountEvery<<min(c.totals.spent-1, maxBackoff))
	case c.totals.failed > 0 && c.totals.epoch >= c.mount.Epoch:
		return age > every<<min(c.totals.failed-1, maxBackoff)
	}
	return c.totals.epoch < c.mount.Epoch || age > every
}

func (s *Store) count(c *count, m Mount) {
	began := s.config.Clock()
	counted, err := s.countKeys(m, began)
	switch {
	case err != nil:
		s.config.Logger.Info("counting a mount failed", "mount", m.ID, "error", err)
	case counted.AtLeast:
		s.config.Logger.Info("a mount is too large to be counted within the budget", "mount", m.ID, "store", m.Store.String(), "objects", counted.Objects, "took", s.age(began))
	}
	if counted.Hidden > 0 {
		s.config.Logger.Warn("keys of a mount cannot be paths of files and are hidden", "mount", m.ID, "store", m.Store.String(), "keys", counted.Hidden)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.running = false
	c.totals = c.totals.after(counted, err)
	c.totals.at, c.totals.took, c.totals.epoch = s.config.Clock(), s.age(began), m.Epoch
	if err == nil {
		s.table.setTotals(m.ID, c.totals)
	}
}

// after returns the totals after a count. A complete count replaces them, and one
// that ended early does if it counted more.
func (t totals) after(counted Totals, err error) totals {
	switch {
	case err != nil:
		t.failed++
		counted.AtLeast = true
	case counted.AtLeast:
		t.spent, t.failed = t.spent+1, 0
	default:
		t.spent, t.failed = 0, 0
	}
	if !counted.AtLeast || counted.Objects > max(t.Objects, 0) {
		t.Totals = counted
	}
	return t
}

// countKeys counts until the end of the listing or of the budget. With an error,
// the totals are of what was counted before it.
func (s *Store) countKeys(m Mount, began time.Time) (Totals, error) {
	var t Totals
	l := lister{store: s, mount: m}
	for {
		page, err := l.next()
		if err != nil {
			return t, fmt.Errorf("count the keys of %s: %w", m.Store, err)
		}
		for _, o := range page.Objects {
			t.add(o.Key, o.Size)
		}
		switch {
		case l.done:
			return t, nil
		case t.Objects+t.Hidden > s.config.MaxCounted, l.pages >= s.config.CountRequests, s.age(began) >= s.config.CountTime:
			t.AtLeast = true
			return t, nil
		}
	}
}

// add counts one key.
func (t *Totals) add(key string, size int64) {
	path := strings.TrimSuffix(key, "/")
	switch {
	case key == "": // The marker of the mount's own prefix.
	case !wire.IsKey(path):
		t.Hidden++
	case path == key:
		t.Objects++
		if size > 0 {
			t.Bytes = min(t.Bytes, math.MaxInt64-size) + size
		}
	}
}

func (t totals) encode() []byte {
	b := binary.AppendVarint(nil, t.Objects)
	b = binary.AppendVarint(b, t.Bytes)
	b = binary.AppendVarint(b, t.Hidden)
	b = binary.AppendVarint(b, t.at.UnixNano())
	b = binary.AppendVarint(b, int64(t.took))
	for _, v := range []uint64{t.epoch, t.spent, t.failed, flag(t.AtLeast)} {
		b = binary.AppendUvarint(b, v)
	}
	return seal(b)
}

func flag(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

func decodeTotals(b []byte) (totals, error) {
	r, err := unseal(b)
	if err != nil {
		return totals{}, err
	}
	t := totals{Totals: Totals{Objects: r.varint(), Bytes: r.varint(), Hidden: r.varint()}}
	t.at = time.Unix(0, r.varint())
	t.took = time.Duration(r.varint())
	t.epoch, t.spent, t.failed, t.AtLeast = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint() == 1
	if !r.done() || t.Objects < -1 || t.Bytes < -1 || t.Hidden < 0 || t.took < 0 {
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
