package client

import (
	"cmp"
	"context"
	"path"
	"slices"
	"time"
)

// Parameters of the detection of directories whose files are read in order.
const (
	// maxSequences bounds the directories that are observed.
	maxSequences = 64
	// pageNames is the number of names that are requested at a time.
	pageNames = 512
	// pageAfter is the number of files of a directory that are read before its names
	// are requested.
	pageAfter = 3
	// near is the distance, in names, within which a read belongs to the sequence:
	// threads reorder reads.
	near = 32
	// startScore is the score at which files are fetched ahead, maxScore the highest.
	// A read in the sequence adds one, and one elsewhere takes away awayScore.
	startScore, maxScore, awayScore = 4, 16, 4
	// window is the number of names that are fetched ahead of the last one read.
	// They are requested when half of them were read.
	window = 64
	// rest is how long a directory is not observed after its names were not cached
	// at its owner, or objects that were fetched ahead were not read.
	rest = time.Minute
	// maxWasted is the number of objects that may be dropped unread before all
	// directories rest.
	maxWasted = 128
)

// sequence is the state of one directory. small.mu guards it.
type sequence struct {
	used time.Time
	// until is the time until which the directory rests.
	until time.Time
	// reads and low are the number of reads and the lowest name before the names are
	// known.
	reads int
	low   string
	// page are the files of the directory after low, by name, and more whether
	// others follow them. loading is set while they are requested.
	page    []Object
	more    bool
	loading bool
	// high is the index of the last read of the sequence, and next that of the first
	// object that was not requested.
	high, next int
	score      int
}

// read records the read of a small file, and starts to fetch what follows. The
// caller must hold s.mu.
func (s *small) read(d directory, name string) {
	now := s.client.config.Clock()
	q := s.sequence(d, now)
	if now.Before(q.until) {
		return
	}
	if q.page == nil {
		if q.reads++; q.reads == 1 || name < q.low {
			q.low = name
		}
		if q.reads >= pageAfter {
			s.load(d, q, q.low)
		}
		return
	}
	i, found := slices.BinarySearchFunc(q.page, name, func(o Object, name string) int { return cmp.Compare(path.Base(o.Key), name) })
	if !found || i < q.high-near || i > q.high+near {
		if q.score -= awayScore; q.score < 0 {
			q.score = 0
			if found {
				q.high, q.next = i, i+1
			}
		}
		return
	}
	q.score = min(q.score+1, maxScore)
	q.high = max(q.high, i)
	s.extend(d, q, now)
}

// extend fetches what follows the last read, if enough of it was read. The caller
// must hold s.mu.
func (s *small) extend(d directory, q *sequence, now time.Time) {
	q.next = max(q.next, q.high+1)
	if q.score < startScore || q.next > q.high+window/2 {
		return
	}
	if s.wasted > maxWasted {
		s.wasted = 0
		for _, other := range s.dirs {
			other.until = now.Add(rest)
		}
		return
	}
	end := min(len(q.page), q.high+window)
	wanted := s.reserve(q.page[min(q.next, end):end])
	q.next = max(q.next, end)
	if len(wanted) > 0 && !s.client.spawn(func() { s.fetch(wanted) }) {
		for _, a := range wanted {
			s.remove(a) // No read can wait for it yet.
		}
	}
	if q.more && len(q.page)-q.high < window {
		s.load(d, q, path.Base(q.page[len(q.page)-1].Key))
	}
}

// sequence returns the state of a directory. It drops the one that was not used for
// the longest time if there are too many. The caller must hold s.mu.
func (s *small) sequence(d directory, now time.Time) *sequence {
	q := s.dirs[d]
	if q == nil {
		if len(s.dirs) >= maxSequences {
			var oldest directory
			for other, state := range s.dirs {
				if o := s.dirs[oldest]; o == nil || state.used.Before(o.used) {
					oldest = other
				}
			}
			delete(s.dirs, oldest)
		}
		q = &sequence{}
		s.dirs[d] = q
	}
	q.used = now
	return q
}

// load requests the names of a directory that follow a name from its owner, which
// must have them cached. The caller must hold s.mu.
func (s *small) load(d directory, q *sequence, after string) {
	if q.loading {
		return
	}
	q.loading = s.client.spawn(func() {
		ctx, cancel := context.WithTimeout(s.client.ctx, s.client.config.ViewTimeout)
		defer cancel()
		response, err := s.client.ListCached(ctx, d.mount, d.path, after, pageNames)
		s.mu.Lock()
		defer s.mu.Unlock()
		q.loading = false
		if err != nil {
			q.until = s.client.config.Clock().Add(rest)
			return
		}
		page := make([]Object, 0, len(response.GetEntries()))
		for _, e := range response.GetEntries() {
			if len(e.GetKey()) > 0 {
				page = append(page, Object{Mount: d.mount, Key: string(e.GetKey()), ETag: string(e.GetEtag()), Size: e.GetSize()})
			}
		}
		q.follow(page, response.GetMore())
	})
}

// follow appends a page. Names that were read for long are dropped.
func (q *sequence) follow(page []Object, more bool) {
	drop := max(0, min(q.high-near, len(q.page)))
	if q.page == nil {
		q.page = []Object{}
	}
	q.page = append(slices.Clone(q.page[drop:]), page...)
	q.high, q.next, q.more = q.high-drop, max(q.next-drop, 0), more && len(page) > 0
}
