package client

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// Parameters of the decision to request a node copy.
const (
	// maxHeat bounds the versions whose reads are counted.
	maxHeat = 1 << 16
	// copyFirst is the size, in bytes, from which on a version is copied when a
	// quarter of it was read sequentially. Smaller ones are copied when they are
	// read a second time.
	copyFirst = 4 << 20
	// copySlack is the distance from the end of a sequential read within which
	// another belongs to it: ranges are requested ahead, and return in any order.
	copySlack = 32 << 20
	// secondRead is the time after the last read from which on one at the start of
	// a version is a second read.
	secondRead = 10 * time.Second
	// copyAgain is how long a copy of a version is not requested again.
	copyAgain = 30 * time.Second
	// copyTimeout bounds a request for a copy.
	copyTimeout = 5 * time.Second
	// copyRequests bounds the requests for copies in progress.
	copyRequests = 8
)

// copies requests node copies from a worker on this host: of versions that are read a
// second time, or sequentially past a quarter, and of which no worker on this host is
// the only owner. It is safe for concurrent use.
type copies struct {
	client *Client
	seed   maphash.Seed
	turns  chan struct{}

	mu   sync.Mutex
	heat map[uint64]heat
	// requested counts the copies that a worker has accepted.
	requested int64
}

// heat is what is known of the reads of one version.
type heat struct {
	// upTo is the end of the sequential read from the start.
	upTo int64
	// last is the time of the last read, and asked that of the last request.
	last, asked time.Time
}

func newCopies(c *Client) *copies {
	return &copies{client: c, seed: maphash.MakeSeed(), turns: make(chan struct{}, copyRequests), heat: map[uint64]heat{}}
}

// read records a read of n bytes, and requests a copy if it is due.
func (c *copies) read(o Object, offset int64, n int) {
	if c.client.config.SocketDir == "" || n == 0 || !c.due(o, offset, n) || !c.begin() {
		return
	}
	c.spawn(func() error { return c.request(o, false) }, o)
}

// begin takes a turn for a request, and reports false if too many are in progress: a
// later read requests the copy.
func (c *copies) begin() bool {
	select {
	case c.turns <- struct{}{}:
		return true
	default:
		return false
	}
}

// spawn makes a request whose turn was taken.
func (c *copies) spawn(request func() error, o Object) {
	if !c.client.spawn(func() {
		defer func() { <-c.turns }()
		if err := request(); err != nil {
			c.client.config.Logger.Debug("no node copy", "key", o.Key, "error", err)
		}
	}) {
		<-c.turns
	}
}

// due records a read and reports whether a copy should be requested.
func (c *copies) due(o Object, offset int64, n int) bool {
	now := c.client.config.Clock()
	id := maphash.Comparable(c.seed, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	h, known := c.heat[id]
	if !known && len(c.heat) >= maxHeat {
		for other := range c.heat { // Any: the order of maps is random.
			delete(c.heat, other)
			break
		}
	}
	again := known && offset == 0 && now.Sub(h.last) >= secondRead
	if offset <= h.upTo+copySlack {
		h.upTo = max(h.upTo, min(offset, h.upTo)+int64(n))
	}
	h.last = now
	due := (again || o.Size >= copyFirst && h.upTo >= o.Size/4) && now.Sub(h.asked) >= copyAgain
	if due {
		h.asked = now
	}
	c.heat[id] = h
	return due
}

// request requests a copy from the worker on this host that would own the version if
// the others did not exist. If it does own all of it, it is requested to fetch the
// version as a whole, or nothing is requested: what is read of it is lent once it is
// complete.
func (c *copies) request(o Object, whole bool) error {
	var local *worker
	for i, candidate := range c.client.Candidates(o, 0) {
		if _, err := os.Stat(transport.SocketPath(c.client.config.SocketDir, candidate.Worker())); err != nil {
			continue
		}
		if i == 0 && c.client.stripeEnd(o, 0) == o.Size && !whole {
			return nil
		}
		local = candidate.worker
		break
	}
	if local == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.client.ctx, copyTimeout)
	defer cancel()
	request, err := wire.NewCopyRequest(ctx, local.address, wire.BatchObject{Mount: o.Mount, Key: []byte(o.Key), ETag: []byte(o.ETag), Size: o.Size})
	if err != nil {
		return err
	}
	response, err := local.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusAccepted {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requested++
		return nil
	}
	failure, err := wire.ReadFailure(response)
	return fmt.Errorf("worker %s: status %s: %s %w", local.name, response.Status, failure.Message, err)
}
