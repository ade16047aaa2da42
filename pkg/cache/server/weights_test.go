package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
)

// putWeights puts a file in the safetensors format with two tensors, the second of
// which begins gap bytes after the first.
func (b *bucket) putWeights(key string, seed uint64, size, gap int64) blockstore.Key {
	const header = `{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`
	half := size / 2
	text := fmt.Sprintf(header, half, half, half, half+gap, size+gap)
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	data = append(data, randomBytes(seed, int(size+gap))...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key], b.tags[key] = data, tagOf(data)
	return blockstore.Key{Mount: "m1", Key: key, ETag: b.tags[key], Size: int64(len(data))}
}

// TestWeightsAreFetchedWhole reads the beginning of files of model weights: one that
// the worker of the node owns, one that another owns, and one in stripes. Each is
// sealed on the node, its bytes were sent once, and what only looks like one is not
// fetched.
func TestWeightsAreFetchedWhole(t *testing.T) {
	const size, first = 12 << 20, 1 << 20
	for _, test := range []struct {
		name    string
		stripe  int64
		workers int
	}{{"owned", 0, 1}, {"placed by the ring", 0, 2}, {"in stripes", 1 << 20, 3}} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, test.workers, test.stripe)
			reader := c.client(0)
			c.mustRead(reader, c.bucket.putWeights("broken.safetensors", 1, size, 1), 0, first)
			c.mustRead(reader, c.bucket.put("other.bin", 2, size), 0, first)
			sent := c.bucket.sent.Load()
			key := c.bucket.putWeights("model.safetensors", 3, size, 0)
			c.mustRead(reader, key, 0, first)
			eventually(t, "the node has the sealed file", func() bool { return lent(c.workers[0], key) != nil })
			if !bytes.Equal(lent(c.workers[0], key), c.bucket.get(key.Key)) {
				t.Error("wrong bytes were sealed")
			}
			if got := c.bucket.sent.Load() - sent; got != key.Size {
				t.Errorf("the store sent %d bytes for a file of %d", got, key.Size)
			}
			if n := reader.Counts().Copies; n != 1 {
				t.Errorf("%d files were requested as a whole, want one", n)
			}
		})
	}
}

// TestWeightsLargerThanTheTierAreNotFetchedWhole reads the beginning of files that
// the tier has no room for.
func TestWeightsLargerThanTheTierAreNotFetchedWhole(t *testing.T) {
	c := newCluster(t, 1, 0, func(h *harness) { h.quota = 8 << 20 })
	reader := c.client(0)
	key := c.bucket.putWeights("model.safetensors", 1, 12<<20, 0)
	c.mustRead(reader, key, 0, 1<<20)
	if err := c.workers[0].blocks.Fits(key); err == nil {
		t.Error("a version that is larger than the tier fits")
	}
	small := c.bucket.putWeights("small.safetensors", 2, 4<<20, 0)
	c.mustRead(reader, small, 0, 1<<20)
	eventually(t, "a file that fits is sealed", func() bool { return lent(c.workers[0], small) != nil })
	if n := reader.Counts().Copies; n != 1 {
		t.Errorf("%d files were requested as a whole, want one", n)
	}
}
