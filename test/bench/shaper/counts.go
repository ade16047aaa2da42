package shaper

import (
	"net/http"
	"sync"
)

// Kind is a kind of request, as benchmarks count them.
type Kind string

// Kinds of requests.
const (
	Get   Kind = "GET"
	Head  Kind = "HEAD"
	List  Kind = "LIST"
	Write Kind = "write"
)

// Counts are the requests by kind, and the bytes of bodies.
type Counts struct {
	Requests map[Kind]int64
	// Received is what clients received, in bytes; Sent what they sent.
	Received, Sent int64
}

// All returns the number of requests of all kinds.
func (c Counts) All() int64 {
	var all int64
	for _, n := range c.Requests {
		all += n
	}
	return all
}

// Since returns the difference to earlier counts.
func (c Counts) Since(earlier Counts) Counts {
	d := Counts{Requests: map[Kind]int64{}, Received: c.Received - earlier.Received, Sent: c.Sent - earlier.Sent}
	for kind, n := range c.Requests {
		d.Requests[kind] = n - earlier.Requests[kind]
	}
	return d
}

// kindOf classifies a request. A GET of a bucket is a LIST: clients address
// buckets in the path.
func kindOf(request *http.Request) Kind {
	switch query := request.URL.Query(); {
	case request.Method == http.MethodHead:
		return Head
	case request.Method != http.MethodGet:
		return Write
	case query.Has("list-type") || query.Has("prefix") || query.Has("delimiter") || query.Has("max-keys"):
		return List
	default:
		return Get
	}
}

type counters struct {
	mu     sync.Mutex
	counts Counts
}

func (c *counters) add(kind Kind, sent, received int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts.Requests == nil {
		c.counts.Requests = map[Kind]int64{}
	}
	c.counts.Requests[kind]++
	c.counts.Sent += sent
	c.counts.Received += received
}

func (c *counters) read() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts.Since(Counts{})
}
