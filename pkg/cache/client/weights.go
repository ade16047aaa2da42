package client

import (
	"bytes"
	"hash/maphash"

	"github.com/jindo-io/jindo/pkg/cache/safetensors"
)

// beginning looks at the first bytes of an object that were read. A file of model
// weights is requested as a whole from the worker on this host, because its loaders
// map it and read all tensors in any order: every fault would wait for the store. The
// worker refuses what it would not cache.
//
// The header must be within the bytes that were read. They are not kept.
func (c *copies) beginning(o Object, head []byte) {
	if c.client.config.SocketDir == "" || o.Size < copyFirst {
		return
	}
	end, ok := safetensors.HeaderEnd(head, o.Size)
	if !ok || end > int64(len(head)) || !c.mayAsk(o) || !c.begin() {
		return
	}
	header := bytes.Clone(head[:end])
	c.spawn(func() error {
		if err := safetensors.Check(header, o.Size); err != nil {
			return err
		}
		return c.request(o, true)
	}, o)
}

// mayAsk reports whether no copy of a version was requested lately, and records that
// one is requested now.
func (c *copies) mayAsk(o Object) bool {
	now := c.client.config.Clock()
	id := maphash.Comparable(c.seed, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	h, known := c.heat[id]
	if !known || now.Sub(h.asked) < copyAgain {
		return false
	}
	h.asked = now
	c.heat[id] = h
	return true
}
