package server

import (
	"sync"
	"time"
)

// maxTick is the most that one tick of an awakeClock counts for.
const maxTick = time.Second

// awakeClock counts the time in which this process ran. A process that was
// paused, or a machine that slept, received nothing, so that silence during
// that time proves nothing about other processes. It is safe for concurrent
// use.
type awakeClock struct {
	mu    sync.Mutex
	last  time.Time
	awake time.Duration
}

func newAwakeClock() *awakeClock { return &awakeClock{last: time.Now()} }

// tick adds the time since the last tick and returns the sum.
func (c *awakeClock) tick() time.Duration { return c.tickAt(time.Now()) }

func (c *awakeClock) tickAt(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awake += max(0, min(now.Sub(c.last), maxTick))
	c.last = now
	return c.awake
}

// now returns the sum at the last tick.
func (c *awakeClock) now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awake
}

// logClock is the source of the time in commands. It is strictly increasing,
// even after another leader, whose clock was ahead, has moved the time of the
// state into the future. It is safe for concurrent use.
type logClock struct {
	wall func() time.Time

	mu   sync.Mutex
	last int64
	at   time.Time
}

func newLogClock() *logClock { return &logClock{wall: time.Now} }

// now returns the time in nanoseconds since 1970, which is later than any that
// it returned before and not before state, the time of the state.
func (c *logClock) now(state int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.wall()
	now := max(wall.UnixNano(), state)
	if !c.at.IsZero() {
		now = max(now, c.last+max(0, int64(wall.Sub(c.at))))
	}
	c.last, c.at = now, wall
	return now
}
