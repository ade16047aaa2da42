package server

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

func sortedNames(entries map[string]*workerv1.Entry) []string {
	return slices.Sorted(maps.Keys(entries))
}

// fill stores small files in one directory and lists them, and returns their keys
// in the order of their names.
func (c *cluster) fill(n int) []blockstore.Key {
	entries := map[string]*workerv1.Entry{}
	var keys []blockstore.Key
	for i := range n {
		name := fmt.Sprintf("%05d", i)
		key := c.bucket.put("small/"+name, uint64(i), 1000+7*i)
		keys = append(keys, key)
		entries[name] = &workerv1.Entry{Name: []byte(name), Kind: workerv1.EntryKind_ENTRY_KIND_FILE, Key: []byte(key.Key), Size: key.Size, Etag: []byte(key.ETag)}
	}
	for _, h := range c.workers {
		h.directory.mu.Lock()
		h.directory.entries = entries
		h.directory.mu.Unlock()
	}
	return keys
}

func withNames(h *harness) { h.config.Directory = cachedNames{h.directory} }

// TestSmallFilesAreFetchedAhead checks that threads that read a directory in order
// wait for few requests, that the store receives one GET a file, and that they get
// each file's bytes.
func TestSmallFilesAreFetchedAhead(t *testing.T) {
	const files, threads = 900, 8
	c := newCluster(t, 3, 0, withNames)
	keys := c.fill(files)
	reader := c.client(0)
	var next atomic.Int64
	var running sync.WaitGroup
	for range threads {
		running.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(keys) {
					return
				}
				got, err := read(t.Context(), reader, keys[i], 0, keys[i].Size)
				if err != nil || string(got) != string(c.bucket.get(keys[i].Key)) {
					t.Errorf("file %d: %v", i, err)
				}
			}
		})
	}
	running.Wait()
	if gets := c.bucket.gets.Load(); gets != files {
		t.Errorf("%d GETs for %d files", gets, files)
	}
	if ahead := reader.Counts().Ahead; ahead < files*8/10 {
		t.Errorf("%d of %d files were fetched ahead", ahead, files)
	}
}

// TestRandomReadsFetchNothingAhead checks that reads in random order cause no GET of
// a file that is not read.
func TestRandomReadsFetchNothingAhead(t *testing.T) {
	const files, reads = 2000, 300
	c := newCluster(t, 1, 0, withNames)
	keys := c.fill(files)
	reader := c.client(0)
	order := rand.New(rand.NewPCG(1, 2)).Perm(files)[:reads]
	for _, i := range order {
		c.mustRead(reader, keys[i], 0, keys[i].Size)
	}
	if gets := c.bucket.gets.Load(); gets > reads*11/10 {
		t.Errorf("%d GETs for %d files in random order", gets, reads)
	}
}

// TestFilesThatChangeAheadOfTheReader checks that a file that is replaced or deleted
// while it is fetched ahead is never read with other bytes.
func TestFilesThatChangeAheadOfTheReader(t *testing.T) {
	const files = 300
	c := newCluster(t, 2, 0, withNames)
	keys := c.fill(files)
	reader := c.client(1)
	want := map[string][]byte{}
	for _, key := range keys {
		want[key.Key] = c.bucket.get(key.Key)
	}
	for i, key := range keys {
		// Replaced before, while or after it is fetched.
		if j := i + 1 + i%40; i%3 == 0 && j < files {
			if i%2 == 0 {
				c.bucket.put(keys[j].Key, uint64(j+1000), int(keys[j].Size))
			} else {
				c.bucket.remove(keys[j].Key)
			}
		}
		got, err := read(t.Context(), reader, key, 0, key.Size)
		if err == nil && string(got) != string(want[key.Key]) {
			t.Fatalf("file %d has other bytes", i)
		}
	}
}

// TestStoreFailsAhead checks that files that cannot be fetched ahead are read once
// the store works again.
func TestStoreFailsAhead(t *testing.T) {
	c := newCluster(t, 1, 0, withNames)
	keys := c.fill(200)
	reader := c.client(0)
	for i, key := range keys {
		if i == 50 {
			c.bucket.failWith(ufs.ErrUnavailable, nil)
			for _, failing := range keys[50:120] {
				_, _ = read(t.Context(), reader, failing, 0, failing.Size)
			}
			c.bucket.failWith(nil, nil)
		}
		c.mustRead(reader, key, 0, key.Size)
	}
}

// TestBatchRights checks that a batch is refused as single reads are: by role, by
// mount, and by its form.
func TestBatchRights(t *testing.T) {
	h := newHarness(t).ready()
	key := h.bucket.put("a", 1, 10)
	batch := wire.Batch{Objects: []wire.BatchObject{{Mount: "m1", Key: []byte("a"), ETag: []byte(key.ETag), Size: 10}}}
	send := func(client *http.Client, b wire.Batch, method string) (status int, objects int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		request, err := wire.NewBatchRequest(ctx, h.worker.Addr().String(), b)
		if err != nil {
			t.Fatal(err)
		}
		request.Method = method
		response, err := client.Do(request)
		if err != nil {
			return 0, 0
		}
		defer func() { _ = response.Body.Close() }()
		for {
			_, object, err := b.ReadFrame(response.Body)
			if err != nil {
				return response.StatusCode, objects
			}
			if string(object) == string(h.bucket.get("a")) {
				objects++
			}
		}
	}
	for _, c := range []struct {
		name    string
		role    mtls.Role
		grants  []mtls.Grant
		method  string
		status  int
		objects int
	}{
		{"reader", mtls.Fuse, nil, http.MethodPost, http.StatusOK, 1},
		{"mount", mtls.Fuse, []mtls.Grant{{Path: "/hadoop"}}, http.MethodPost, http.StatusOK, 1},
		{"other mount", mtls.Fuse, []mtls.Grant{{Path: "/other"}}, http.MethodPost, http.StatusOK, 0},
		{"method", mtls.Fuse, nil, http.MethodPut, http.StatusMethodNotAllowed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := h.granted(c.role, c.grants...)
			if status, objects := send(client, batch, c.method); status != c.status || objects != c.objects {
				t.Errorf("status %d and %d objects, want %d and %d", status, objects, c.status, c.objects)
			}
		})
	}
	for name, bad := range map[string]wire.Batch{
		"empty":     {},
		"too many":  {Objects: slices.Repeat(batch.Objects, wire.MaxBatch+1)},
		"too large": {Objects: []wire.BatchObject{{Mount: "m1", Key: []byte("a"), ETag: []byte("x"), Size: wire.MaxBatchObject + 1}}},
		"no bytes":  {Objects: []wire.BatchObject{{Mount: "m1", Key: []byte("a"), ETag: []byte("x")}}},
	} {
		if _, err := wire.NewBatchRequest(t.Context(), "x", bad); err == nil {
			t.Errorf("%s: a batch that no worker serves was encoded", name)
		}
	}
}
