package blockstore

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRecentReads reads an object when it is cold and when it is cached, and
// moves the clock past the window in between.
func TestRecentReads(t *testing.T) {
	c := newClock()
	s := small(t, c)
	o := newOrigin(8, 250_000)
	mustRead(t, s, o, "a", 0, 250_000, o.fetch)
	settled(t, s)
	cold := Reads{Misses: 1, MissBytes: 250_000}
	if got := s.Stats(); got.Recent != cold || got.Reads != cold {
		t.Fatalf("after a cold read: recent %+v, total %+v, want %+v", got.Recent, got.Reads, cold)
	}
	c.pass(RecentWindow)
	mustRead(t, s, o, "a", 0, 100_000, o.fetch)
	hot := Reads{Hits: 1, HitBytes: 100_000}
	total := Reads{Hits: 1, Misses: 1, HitBytes: 100_000, MissBytes: 250_000}
	if got := s.Stats(); got.Recent != hot || got.Reads != total {
		t.Fatalf("after the window has passed: recent %+v, total %+v, want %+v and %+v", got.Recent, got.Reads, hot, total)
	}
	c.pass(RecentWindow)
	if got := s.Stats(); got.Recent != (Reads{}) || got.Reads != total {
		t.Fatalf("without reads: recent %+v, total %+v", got.Recent, got.Reads)
	}
}

// TestReadWindowModel compares the window with the list of all reads.
func TestReadWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opened := time.Unix(1_800_000_000, 0)
		now := opened
		w := readWindow{opened: opened}
		type read struct {
			bucket time.Duration
			bytes  int64
		}
		var reads []read
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) {
				bytes := rapid.Int64Range(1, 1<<40).Draw(t, "bytes")
				w.add(now, Reads{Hits: 1, HitBytes: bytes})
				reads = append(reads, read{now.Sub(opened) / bucketWidth, bytes})
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*RecentWindow)).Draw(t, "time")))
			},
			"": func(t *rapid.T) {
				var want Reads
				for _, r := range reads {
					if now.Sub(opened)/bucketWidth-r.bucket < time.Duration(bucketCount) {
						want.Hits++
						want.HitBytes += r.bytes
					}
				}
				if got := w.sum(now); got != want {
					t.Fatalf("the window is %+v, want %+v", got, want)
				}
			},
		})
	})
}

// A clock that is set back must neither lose reads nor panic.
func TestReadWindowWithAClockSetBack(t *testing.T) {
	opened := time.Unix(1_800_000_000, 0)
	w := readWindow{opened: opened}
	w.add(opened.Add(time.Minute), Reads{Hits: 1})
	w.add(opened.Add(-time.Hour), Reads{Hits: 1})
	if got := w.sum(opened.Add(time.Minute)); got.Hits != 2 {
		t.Errorf("%d hits, want 2", got.Hits)
	}
}
