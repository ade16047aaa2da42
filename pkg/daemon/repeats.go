package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// repeatLimits bounds what is logged of one kind of record in each interval.
type repeatLimits struct {
	interval time.Duration
	// info are the bounds of records of the level info, problems those of a
	// higher one.
	info, problems repeatBounds
	// kinds bounds the number of kinds that are tracked.
	kinds int
}

// repeatBounds are the numbers of records of one message about one peer, and of
// one message about all peers. When records about a peer were omitted in the
// interval before, one is written.
type repeatBounds struct{ peer, message int }

func (l repeatLimits) of(level slog.Level) repeatBounds {
	if level < slog.LevelWarn {
		return l.info
	}
	return l.problems
}

//nolint:gochecknoglobals // A constant.
var defaultRepeatLimits = repeatLimits{
	interval: time.Minute, info: repeatBounds{20, 200}, problems: repeatBounds{5, 20}, kinds: 1024,
}

// repeats is a slog.Handler that bounds how often messages of the level info and
// above are repeated, so that neither an unreachable peer nor a stranger fills
// the log. What it omits is counted: the next record of the kind, or a record
// of its own at the end of the interval, has the number. Messages of a lower
// level are not bounded. It is safe for concurrent use.
type repeats struct {
	slog.Handler
	// peer is the value of the attribute of the logger that names a peer.
	peer   string
	shared *repeatCounts
}

// repeatCounts is shared by the handlers that WithAttrs and WithGroup derive.
type repeatCounts struct {
	limits repeatLimits
	now    func() time.Time

	mu       sync.Mutex
	kinds    map[repeatKind]*repeated
	messages map[repeatKind]*repeated
	swept    time.Time
}

// maxErrors is how many errors of one kind of record are written in each interval
// though its bound is reached: the first of a new error is not a repetition.
const maxErrors = 4

// isNew reports whether an error was not written in this interval. The empty error
// is that of a record without one.
func (r *repeated) isNew(text string) bool {
	return text != "" && len(r.errors) < maxErrors && !slices.Contains(r.errors, text)
}

// repeatKind is what records have in common to count as repeated; peer is empty
// for those of a message about all peers.
type repeatKind struct {
	level         slog.Level
	message, peer string
}

type repeated struct {
	since           time.Time
	logged, omitted int
	// bounded reports whether records were omitted in the interval before.
	bounded bool
	// errors are those of the records that were written in this interval, at most
	// maxErrors.
	errors []string
	// handler writes the record about what was omitted.
	handler slog.Handler
}

var _ slog.Handler = (*repeats)(nil)

func newRepeats(handler slog.Handler, limits repeatLimits) *repeats {
	return &repeats{Handler: handler, shared: &repeatCounts{
		limits: limits, now: time.Now, kinds: map[repeatKind]*repeated{}, messages: map[repeatKind]*repeated{},
	}}
}

// peerKeys are the attributes that name what a message is about.
var peerKeys = []string{"peer", "member", "server-id", "target", "remote", "worker", "master", "mount", "runtime", "volume", "path", "key", "id"} //nolint:gochecknoglobals // A constant table.

// peerOf returns the value of an attribute that names a peer, without the port of
// an address, which differs with each connection; empty for another attribute.
func peerOf(a slog.Attr) string {
	if !slices.Contains(peerKeys, a.Key) {
		return ""
	}
	value := a.Value.Resolve()
	text := value.String()
	if value.Kind() == slog.KindAny {
		text = fmt.Sprint(value.Any())
	}
	if fields := strings.Fields(strings.Trim(text, "{}")); len(fields) > 1 {
		text = fields[1] // raft.Server and raft.Peer: suffrage, id, address
	}
	if a.Key == "remote" {
		if host, _, err := net.SplitHostPort(text); err == nil {
			text = host
		}
	}
	return text[:min(len(text), 128)]
}

// errorOf returns an error without its numbers, which differ with each attempt.
func errorOf(a slog.Attr) string {
	text := fmt.Sprint(a.Value.Resolve().Any())
	text = text[:min(len(text), 256)]
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, text)
}

// WithAttrs implements slog.Handler.
func (r *repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	peer := r.peer
	for _, a := range attrs {
		if named := peerOf(a); named != "" {
			peer = named
		}
	}
	return &repeats{Handler: r.Handler.WithAttrs(attrs), peer: peer, shared: r.shared}
}

// WithGroup implements slog.Handler.
func (r *repeats) WithGroup(name string) slog.Handler {
	return &repeats{Handler: r.Handler.WithGroup(name), peer: r.peer, shared: r.shared}
}

// Handle implements slog.Handler.
func (r *repeats) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelInfo {
		return r.Handler.Handle(ctx, record)
	}
	peer, failure, found := r.peer, "", false
	record.Attrs(func(a slog.Attr) bool {
		if named := peerOf(a); named != "" && !found {
			peer, found = named, true
		}
		if a.Key == "error" {
			failure = errorOf(a)
		}
		return true
	})
	write, omitted, ended := r.shared.count(repeatKind{record.Level, record.Message, peer}, failure, r.Handler)
	for _, summary := range ended {
		_ = summary.handler.Handle(ctx, summary.record)
	}
	if !write {
		return nil
	}
	if omitted > 0 {
		record = record.Clone()
		record.AddAttrs(slog.Int("omitted", omitted))
	}
	return r.Handler.Handle(ctx, record)
}

// summary is a record about what was omitted of a kind that did not occur again.
type summary struct {
	handler slog.Handler
	record  slog.Record
}

// count counts a record with an error. It returns whether to write it, how many of its kind
// were omitted before, and records about other kinds whose interval has ended.
func (c *repeatCounts) count(kind repeatKind, failure string, handler slog.Handler) (bool, int, []summary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	ended := c.sweep(now)
	bounds := c.limits.of(kind.level)
	message := c.entry(c.messages, repeatKind{level: kind.level, message: kind.message}, handler, now)
	if message == nil {
		return false, 0, ended
	}
	if message.logged >= bounds.message {
		message.omitted++
		return false, 0, ended
	}
	one := c.entry(c.kinds, kind, handler, now)
	if one == nil {
		one = &repeated{}
	}
	if one.logged > 0 && (one.bounded || one.logged >= bounds.peer) && !one.isNew(failure) {
		one.omitted++
		return false, 0, ended
	}
	if one.isNew(failure) {
		one.errors = append(one.errors, failure)
	}
	message.logged++
	one.logged++
	omitted := one.omitted + message.omitted
	one.omitted, message.omitted = 0, 0
	return true, omitted, ended
}

// entry returns the counts of a kind, and begins the next interval when the last
// one has ended. It returns nil when there are too many kinds.
func (c *repeatCounts) entry(entries map[repeatKind]*repeated, kind repeatKind, handler slog.Handler, now time.Time) *repeated {
	e := entries[kind]
	if e == nil {
		if len(entries) >= c.limits.kinds {
			return nil
		}
		e = &repeated{since: now}
		entries[kind] = e
	}
	e.handler = handler
	if now.Sub(e.since) >= c.limits.interval {
		e.since, e.logged, e.bounded, e.errors = now, 0, e.omitted > 0, nil
	}
	return e
}

// sweep drops the kinds that did not occur for two intervals, and returns
// records about what was omitted of them. It runs once an interval.
func (c *repeatCounts) sweep(now time.Time) []summary {
	if now.Sub(c.swept) < c.limits.interval {
		return nil
	}
	c.swept = now
	var ended []summary
	for _, entries := range []map[repeatKind]*repeated{c.kinds, c.messages} {
		for kind, e := range entries {
			if now.Sub(e.since) < 2*c.limits.interval {
				continue
			}
			delete(entries, kind)
			if e.omitted > 0 {
				record := slog.NewRecord(now, kind.level, kind.message, 0)
				if kind.peer != "" {
					record.AddAttrs(slog.String("about", kind.peer))
				}
				record.AddAttrs(slog.Int("omitted", e.omitted))
				ended = append(ended, summary{e.handler, record})
			}
		}
	}
	return ended
}
