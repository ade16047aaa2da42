// Package fakeworker provides workers for tests of their clients. They serve the
// byte API and the directory service over mutual TLS from a bucket in memory,
// and inject faults on demand.
package fakeworker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// MountID is the id of the only mount.
const MountID = "m1"

// Cluster is a set of workers over one bucket.
type Cluster struct {
	Topology topology.Topology
	Workers  []*Worker
	Bucket   *Bucket

	t         testing.TB
	authority *mtls.Authority
	// host is an address of the loopback network for this cluster alone: a worker that
	// is stopped listens on its port again, which no other process takes meanwhile.
	host string
}

// Start starts n workers with the same view. They stop when the test ends.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	authority, err := mtls.NewAuthority("default/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{
		t: t, authority: authority, Bucket: &Bucket{objects: map[string]Object{}},
		host: fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)),
	}
	c.Topology = topology.Topology{Name: "hadoop", ClusterID: "c1"}
	for i := range n {
		w := newWorker(t, c, fmt.Sprintf("worker-%d", i))
		c.Workers = append(c.Workers, w)
		host, port, err := net.SplitHostPort(w.address)
		if err != nil {
			t.Fatal(err)
		}
		member := topology.Member{Name: w.Name, Host: host}
		if _, err := fmt.Sscan(port, &member.Port); err != nil {
			t.Fatal(err)
		}
		c.Topology.Workers = append(c.Topology.Workers, member)
	}
	view := c.NewView(1)
	for _, w := range c.Workers {
		w.SetView(view)
		w.Start()
	}
	return c
}

// NewView returns a view in which all workers are in ring 1 and the mount has
// epoch 1.
func (c *Cluster) NewView(index uint64) *commonv1.ClusterView {
	v := &commonv1.ClusterView{
		ClusterId: "c1", Index: index, Ring: &commonv1.Ring{Epoch: 1},
		Mounts: []*commonv1.Mount{{Id: MountID, Name: "hadoop", Path: "/hadoop", Epoch: 1, ReadOnly: true, Uri: "memory://bucket/"}},
	}
	for _, m := range c.Topology.Workers {
		v.Ring.Members = append(v.Ring.Members, &commonv1.RingMember{
			Id: "id-" + m.Name, Name: m.Name, Host: m.Host, Port: uint32(m.Port), Weight: 1,
		})
	}
	return v
}

// SetView sets the view of every worker.
func (c *Cluster) SetView(v *commonv1.ClusterView) {
	for _, w := range c.Workers {
		w.SetView(proto.CloneOf(v))
	}
}

// Worker returns the worker with a name.
func (c *Cluster) Worker(name string) *Worker {
	i := slices.IndexFunc(c.Workers, func(w *Worker) bool { return w.Name == name })
	if i < 0 {
		c.t.Fatalf("worker %q not found", name)
	}
	return c.Workers[i]
}

// Identity issues an identity of this cluster's authority.
func (c *Cluster) Identity(role mtls.Role, name string) *mtls.Identity {
	c.t.Helper()
	pair, err := c.authority.Issue(mtls.Peer{Role: role, Name: name}, []string{c.host}, time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	dir := c.t.TempDir()
	if err := pair.Save(dir); err != nil {
		c.t.Fatal(err)
	}
	identity, err := mtls.LoadIdentity(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	return identity
}

// Object is the newest version of a key.
type Object struct {
	ETag string
	Data []byte
}

// Bucket is an object store in memory. It is safe for concurrent use.
type Bucket struct {
	mu      sync.Mutex
	objects map[string]Object
}

// Put stores an object; its entity tag is a hash of its bytes.
func (b *Bucket) Put(key string, data []byte) Object {
	sum := sha256.Sum256(data)
	o := Object{ETag: hex.EncodeToString(sum[:8]), Data: data}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = o
	return o
}

// Remove deletes an object.
func (b *Bucket) Remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

// Get returns an object, and whether it exists.
func (b *Bucket) Get(key string) (Object, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	return o, ok
}

// names returns the sorted names in a directory; those of directories end with a
// slash.
func (b *Bucket) names(dir string) []string {
	if dir != "" {
		dir += "/"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for key := range b.objects {
		rest, ok := strings.CutPrefix(key, dir)
		if head, _, deeper := strings.Cut(rest, "/"); ok && deeper {
			out = append(out, head+"/")
		} else if ok {
			out = append(out, rest)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Keys returns the sorted keys of all objects.
func (b *Bucket) Keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.objects))
}
