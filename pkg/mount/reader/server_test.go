package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/cache/fdpass"
	"github.com/jindo-io/jindo/pkg/cache/server"
	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/test/ports"
)

// real is a cluster of real workers over a directory, as in a runtime.
type real struct {
	testing.TB
	store   string // path of the directory
	sockets string
	// fuse is the identity of the reader.
	fuse   *mtls.Identity
	roster topology.Topology
	view   *commonv1.ClusterView
	stop   map[string]func()
	client *client.Client
	reader *Reader
	// uri returns the mount point that a worker opens; nil is that of the mount.
	uri func(worker string) string
	// listen holds the address of a worker that is behind a proxy.
	listen map[string]string
}

// fixedMasters return a constant view.
type fixedMasters struct{ view *commonv1.ClusterView }

func (m fixedMasters) View(context.Context) (*commonv1.ClusterView, error) { return m.view, nil }

func (m fixedMasters) RegisterWorker(context.Context, *commonv1.RingMember, string) (*commonv1.ClusterView, error) {
	return m.view, nil
}

func (m fixedMasters) Heartbeat(context.Context, *commonv1.WorkerReport, string) []server.HeartbeatResult {
	return []server.HeartbeatResult{{Master: "m", ViewIndex: m.view.GetIndex(), Registered: true}}
}

func newReal(t testing.TB, workers int, change ...func(*Config)) *real {
	t.Helper()
	return newRealOf(t, workers, func(*real) {}, change...)
}

// newRealOf is like newReal, but calls prepare before the workers start, which may
// change the view.
func newRealOf(t testing.TB, workers int, prepare func(*real), change ...func(*Config)) *real {
	t.Helper()
	f := &real{TB: t, store: t.TempDir(), stop: map[string]func(){}}
	sockets, err := os.MkdirTemp("", "sockets") // t.TempDir is too long for a socket path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	f.sockets = sockets
	authority, err := mtls.NewAuthority("default/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	identity := func(role mtls.Role, name string) *mtls.Identity {
		dir := t.TempDir()
		pair, err := authority.Issue(mtls.Peer{Role: role, Name: name}, nil, time.Hour)
		if err == nil {
			err = pair.Save(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		i, err := mtls.LoadIdentity(dir)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	f.roster = topology.Topology{Name: "hadoop", ClusterID: "c1"}
	f.view = &commonv1.ClusterView{ClusterId: "c1", Index: 1, Ring: &commonv1.Ring{Epoch: 1}, Mounts: []*commonv1.Mount{
		{Id: "m1", Name: "hadoop", Path: "/hadoop", Uri: "file://" + f.store + "/", Epoch: 1, ReadOnly: true},
	}}
	for i := range workers {
		m := topology.Member{Name: fmt.Sprintf("worker-%d", i), Host: "127.0.0.1", Port: ports.Reserve(t)}
		f.roster.Workers = append(f.roster.Workers, m)
		f.view.Ring.Members = append(f.view.Ring.Members, &commonv1.RingMember{Id: m.Name, Name: m.Name, Host: m.Host, Port: uint32(m.Port), Weight: 1})
	}
	prepare(f)
	for _, m := range f.roster.Workers {
		f.startWorker(m, identity(mtls.Worker, m.Name))
	}
	f.fuse = identity(mtls.Fuse, "fuse-0")
	// A busy machine must make neither a worker nor its disk look as if it hung.
	if f.client, err = client.New(client.Config{Topology: f.roster, Identity: f.fuse, Poll: 50 * time.Millisecond, Silence: time.Minute}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.client.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	config := Config{Cluster: f.client}
	for _, c := range change {
		c(&config)
	}
	if f.reader, err = New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.reader.Close() })
	return f
}

func openDirectory(ctx context.Context, m *commonv1.Mount) (ufs.Store, error) {
	return drivers.Open(ctx, m.GetUri(), m.GetOptions(), nil)
}

func (f *real) startWorker(m topology.Member, identity *mtls.Identity) {
	f.Helper()
	names, err := dirstore.Open(dirstore.Config{Dir: filepath.Join(f.TempDir(), "listings")})
	if err != nil {
		f.Fatal(err)
	}
	blocks, err := blockstore.Open(blockstore.Config{
		Tiers:       []blockstore.Tier{{Medium: "SSD", Path: f.TempDir(), Quota: 1 << 30, Floor: 1}},
		DiskTimeout: time.Hour, LoadWait: time.Hour,
	})
	if err != nil {
		f.Fatal(err)
	}
	opener := openDirectory
	if f.uri != nil {
		opener = func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error) {
			return drivers.Open(ctx, f.uri(m.Name), mount.GetOptions(), nil)
		}
	}
	listen := m.Address()
	if own := f.listen[m.Name]; own != "" {
		listen = own
	}
	worker, err := server.New(server.Config{
		Name: m.Name, Host: m.Host, Port: m.Port, ClusterID: "c1", Listen: listen, Identity: identity, DataDir: f.TempDir(),
		SocketDir: f.sockets, Masters: fixedMasters{f.view}, Directory: names, OpenStore: opener, Blocks: blocks, Heartbeat: 20 * time.Millisecond,
		PeerTimeout: time.Minute,
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stopped := false
	f.stop[m.Name] = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		closing, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(<-done, blocks.Close(closing), names.Close()); err != nil {
			f.Errorf("stop worker %s: %v", m.Name, err)
		}
	}
	f.Cleanup(f.stop[m.Name])
}

func (f *real) put(name string, data []byte) {
	f.Helper()
	path := filepath.Join(f.store, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.Fatal(err)
	}
}

func (f *real) lookup(dir, name string) Version {
	f.Helper()
	e, err := f.reader.Lookup(f.Context(), "m1", dir, name)
	if err != nil {
		f.Fatal(err)
	}
	return e.Version
}

func (f *real) mustRead(v Version, want []byte) {
	f.Helper()
	file, err := f.reader.Open(f.Context(), v)
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	got, err := readAll(f.Context(), file, 128<<10)
	if err != nil || !bytes.Equal(got, want) {
		f.Fatalf("got %d bytes, want %d; the first difference is at %d; error %v", len(got), len(want), firstDifference(got, want), err)
	}
}

func (f *real) owner(v Version) string {
	return f.client.Candidates(client.Object{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size}, 0)[0].Worker()
}

func TestRealWorkers(t *testing.T) {
	f := newReal(t, 3)
	want := map[string][]byte{"small": random(1, 10), "dir/large": random(2, 9<<20+5), "dir/odd ü name": random(3, 70_000), "empty": nil}
	for name, data := range want {
		f.put(name, data)
	}
	page, err := f.reader.List(t.Context(), "m1", "", "")
	entries := page.Entries
	if err != nil || page.More || len(entries) != 3 || entries[0].Name != "dir" || !entries[0].Dir {
		t.Fatalf("got entries %+v of the root, error %v", entries, err)
	}
	for range 2 { // cold, then warm
		for name, data := range want {
			dir, base := filepath.Split(name)
			f.mustRead(f.lookup(filepath.Clean("/" + dir)[1:], base), data)
		}
	}
	if _, err := f.reader.Lookup(t.Context(), "m1", "dir", "nothing"); !errors.Is(err, ErrNotExist) {
		t.Errorf("lookup of an absent name: got error %v, want ErrNotExist", err)
	}
	v := f.lookup("dir", "large")
	f.stop[f.owner(v)]()
	f.mustRead(v, want["dir/large"])
}

func TestRealSealedFile(t *testing.T) {
	var sockets *Sockets
	f := newReal(t, 2, func(c *Config) { c.LocalInterval, c.LocalTimeout = time.Millisecond, time.Minute })
	sockets = NewSockets(f.sockets, f.fuse)
	t.Cleanup(func() { _ = sockets.Close() })
	f.reader.config.Local = sockets
	data := random(4, 5<<20)
	f.put("file", data)
	v := f.lookup("", "file")
	f.mustRead(v, data)
	local := f.reader.metrics.reads.WithLabelValues(string(rungLocal))
	read := func() float64 { return (&fixture{T: t}).value(local) }
	file, err := f.reader.Open(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	before, p := read(), make([]byte, 1000)
	for deadline := time.Now().Add(time.Minute); read() == before; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no read used the sealed file")
		}
		f.mustRead(v, data)
		before = read()
		if _, err := file.ReadAt(t.Context(), p, 0); err != nil {
			t.Fatal(err)
		}
	}
	// The handle must stay readable without the object and without workers.
	if err := os.Remove(filepath.Join(f.store, "file")); err != nil {
		t.Fatal(err)
	}
	for _, stop := range f.stop {
		stop()
	}
	got, err := readAll(t.Context(), file, 100_000)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes, error %v", len(got), err)
	}
}

// TestEarlierProtocolOfSealedFiles checks that reads use HTTP while the socket of
// sealed files of a worker speaks a protocol that this version does not know.
func TestEarlierProtocolOfSealedFiles(t *testing.T) {
	f := newReal(t, 1, func(c *Config) { c.LocalInterval = time.Millisecond })
	dir, err := os.MkdirTemp("", "sockets")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := fdpass.SocketPath(dir, f.roster.Workers[0].Name)
	listener, err := net.ListenUnix(fdsock.Network, &net.UnixAddr{Name: path, Net: fdsock.Network})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			// As version 1 does with a packet that is no message of it.
			_, _ = conn.Read(make([]byte, 16<<10))
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	sockets := NewSockets(dir, f.fuse)
	t.Cleanup(func() { _ = sockets.Close() })
	f.reader.config.Local = sockets
	data := random(4, 5<<20)
	f.put("file", data)
	v := f.lookup("", "file")
	for range 3 {
		f.mustRead(v, data)
	}
	if _, err := f.reader.Backing(t.Context(), v); err == nil {
		t.Error("a file was lent")
	}
	if n := (&fixture{T: t}).value(f.reader.metrics.reads.WithLabelValues(string(rungLocal))); n != 0 {
		t.Errorf("%v reads used a sealed file", n)
	}
}

func TestRealReplacedObject(t *testing.T) {
	f := newReal(t, 2)
	first, second := random(5, 12<<20), random(6, 3<<20)
	f.put("dir/file", first)
	v := f.lookup("dir", "file")
	file, err := f.reader.Open(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	f.put("dir/file", second)
	if _, err := readAll(t.Context(), file, 128<<10); !errors.Is(err, ErrStale) {
		t.Fatalf("read of the replaced version: got error %v, want ErrStale", err)
	}
	f.reader.Forget(t.Context(), v)
	f.mustRead(f.lookup("dir", "file"), second)
	if err := os.Remove(filepath.Join(f.store, "dir/file")); err != nil {
		t.Fatal(err)
	}
	f.reader.Forget(t.Context(), f.lookup("dir", "file"))
	if _, err := f.reader.Lookup(t.Context(), "m1", "dir", "file"); !errors.Is(err, ErrNotExist) {
		t.Errorf("lookup of a deleted file: got error %v, want ErrNotExist", err)
	}
}

func TestRealStoreIsTheLastRung(t *testing.T) {
	f := newReal(t, 2, func(c *Config) { c.OpenStore = openDirectory })
	data := random(7, 3<<20)
	f.put("dir/file", data)
	for _, stop := range f.stop {
		stop()
	}
	f.mustRead(f.lookup("dir", "file"), data)
}

// BenchmarkRead reads a file that the owner has cached, over TLS on loopback.
func BenchmarkRead(b *testing.B) {
	const size = 256 << 20
	for _, sealed := range []bool{false, true} {
		b.Run(fmt.Sprintf("sealed file %v", sealed), func(b *testing.B) {
			f := newReal(b, 3)
			if sealed {
				sockets := NewSockets(f.sockets, f.fuse)
				b.Cleanup(func() { _ = sockets.Close() })
				f.reader.config.Local = sockets
			}
			data := bytes.Repeat(random(8, 1<<20), size>>20)
			f.put("file", data)
			v := f.lookup("", "file")
			f.mustRead(v, data)
			p := make([]byte, 1<<20)
			b.SetBytes(size)
			for b.Loop() {
				file, err := f.reader.Open(b.Context(), v)
				if err != nil {
					b.Fatal(err)
				}
				for offset := int64(0); offset < size; offset += int64(len(p)) {
					if _, err := file.ReadAt(b.Context(), p, offset); err != nil {
						b.Fatal(err)
					}
				}
				_ = file.Close()
			}
		})
	}
}
