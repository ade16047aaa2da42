package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// masters returns a view or an error.
type masters struct {
	mu       sync.Mutex
	view     *commonv1.ClusterView
	requests int
}

func (m *masters) View(context.Context) (*commonv1.ClusterView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if m.view == nil {
		return nil, errors.New("no master is reachable")
	}
	return m.view, nil
}

func (m *masters) set(v *commonv1.ClusterView) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = v
}

type fixture struct {
	*testing.T
	cluster *fakeworker.Cluster
	client  *client.Client
	now     atomic.Int64 // nanoseconds
}

func newFixture(t *testing.T, workers int) *fixture {
	return &fixture{T: t, cluster: fakeworker.Start(t, workers)}
}

// start creates a client and waits until it has a view.
func (f *fixture) start(change ...func(*client.Config)) *client.Client {
	f.Helper()
	c := f.startOnly(change...)
	ctx, cancel := context.WithTimeout(f.Context(), 2*time.Minute)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		f.Fatal(err)
	}
	return c
}

func (f *fixture) startOnly(change ...func(*client.Config)) *client.Client {
	f.Helper()
	config := client.Config{
		Topology: f.cluster.Topology, Identity: f.cluster.Identity(mtls.Fuse, "fuse-0"),
		Poll: time.Hour, Silence: time.Minute,
		Clock: func() time.Time { return time.Unix(1000, f.now.Load()) },
	}
	for _, c := range change {
		c(&config)
	}
	c, err := client.New(config)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	f.client = c
	return c
}

func (f *fixture) turn(d time.Duration) { f.now.Add(int64(d)) }

func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("timed out: %s", what)
		}
	}
}

// owners returns the workers of a directory, in order.
func (f *fixture) owners(dir string) []*fakeworker.Worker {
	var out []*fakeworker.Worker
	for _, m := range ring.New(f.client.View().GetRing()).Order(ring.DirectoryKey(fakeworker.MountID, dir)) {
		out = append(out, f.cluster.Worker(m.GetName()))
	}
	return out
}

func (f *fixture) stopAll() {
	for _, w := range f.cluster.Workers {
		w.Stop()
	}
}

// TestMountStateIsReported checks that requests for epochs have the state of the mount.
func TestMountStateIsReported(t *testing.T) {
	f := newFixture(t, 1)
	var files atomic.Uint64
	f.start(func(c *client.Config) {
		c.Poll = 10 * time.Millisecond
		c.MountState = func() *workerv1.MountState {
			n := files.Add(1)
			if n == 1 {
				return nil // no mount yet
			}
			return &workerv1.MountState{Id: "a", Files: n}
		}
	})
	f.eventually("the newest state is reported", func() bool {
		state := f.cluster.Workers[0].Mount.Load()
		return state.GetId() == "a" && state.GetFiles() > 3
	})
}

func TestViewComesFromMastersOrWorkers(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*fixture, *masters)
	}{
		{"masters, no worker reachable", func(f *fixture, m *masters) {
			f.stopAll()
			m.set(f.cluster.NewView(7))
		}},
		{"one worker, no master reachable", func(f *fixture, _ *masters) {
			f.cluster.Workers[0].Stop()
			f.cluster.Workers[1].Stop()
			f.cluster.Workers[2].SetView(f.cluster.NewView(7))
		}},
		{"one worker, the others have no view or hang", func(f *fixture, _ *masters) {
			f.cluster.Workers[0].SetView(nil)
			f.cluster.Workers[1].HangNames()
			f.cluster.Workers[2].SetView(f.cluster.NewView(7))
		}},
		{"a worker that comes later", func(f *fixture, _ *masters) {
			f.stopAll()
			f.cluster.Workers[1].SetView(f.cluster.NewView(7))
			later := time.AfterFunc(200*time.Millisecond, f.cluster.Workers[1].Start)
			f.Cleanup(func() { later.Stop() })
		}},
		{"masters that come later", func(f *fixture, m *masters) {
			f.stopAll()
			later := time.AfterFunc(200*time.Millisecond, func() { m.set(f.cluster.NewView(7)) })
			f.Cleanup(func() { later.Stop() })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, m := newFixture(t, 3), &masters{}
			test.prepare(f, m)
			c := f.start(func(c *client.Config) { c.Masters = m })
			if got := c.View().GetIndex(); got != 7 {
				t.Errorf("the view has index %d", got)
			}
		})
	}
}

func TestStartWithoutMastersAndWorkers(t *testing.T) {
	f := newFixture(t, 2)
	file := filepath.Join(t.TempDir(), "view")
	keep := func(c *client.Config) { c.ViewFile = file }
	f.cluster.SetView(f.cluster.NewView(7))
	if err := f.start(keep).Close(); err != nil {
		t.Fatal(err)
	}
	f.stopAll()
	c := f.start(keep)
	if got := c.View(); got.GetIndex() != 7 || len(got.GetRing().GetMembers()) != 2 || len(got.GetMounts()) != 1 {
		t.Errorf("the stored view is %v", got)
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 {
		t.Errorf("the directory has %v, %v", left, err)
	}
}

func TestDamagedViewFileIsIgnored(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"cut":             func(b []byte) []byte { return b[:len(b)-1] },
		"a bit":           func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"another format":  func(b []byte) []byte { b[0]++; return b },
		"another's magic": func([]byte) []byte { return []byte("jindo client view 1\n") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			file := filepath.Join(t.TempDir(), "view")
			keep := func(c *client.Config) { c.ViewFile = file }
			_ = f.start(keep).Close()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			f.cluster.SetView(f.cluster.NewView(9))
			if got := f.start(keep).View().GetIndex(); got != 9 {
				t.Errorf("the view has index %d", got)
			}
		})
	}
}

func TestViewOfAnotherClusterIsRejected(t *testing.T) {
	f := newFixture(t, 1)
	other := f.cluster.NewView(100)
	other.ClusterId = "c2"
	f.cluster.SetView(other)
	c := f.startOnly()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Wait(ctx); err == nil || c.View() != nil {
		t.Fatalf("the view %v was adopted", c.View())
	}
	f.cluster.SetView(f.cluster.NewView(1))
	f.eventually("the right view is adopted", func() bool { return c.View().GetIndex() == 1 })
}

func TestNewerViewIsFetched(t *testing.T) {
	v2 := func(f *fixture) *commonv1.ClusterView {
		v := f.cluster.NewView(2)
		v.Ring.Epoch = 2
		v.Mounts[0].Epoch = 5
		return v
	}
	for _, test := range []struct {
		name string
		poll time.Duration
		send func(f *fixture)
	}{
		{"an idle client polls", 20 * time.Millisecond, func(*fixture) {}},
		{"a lookup returns newer epochs", time.Hour, func(f *fixture) {
			if _, err := f.client.Lookup(f.Context(), fakeworker.MountID, "", "x"); err != nil {
				f.Fatal(err)
			}
		}},
		{"a listing returns newer epochs", time.Hour, func(f *fixture) {
			if _, err := f.client.List(f.Context(), fakeworker.MountID, "", "", 10); err != nil {
				f.Fatal(err)
			}
		}},
		{"a range returns newer epochs", time.Hour, func(f *fixture) {
			o := f.cluster.Bucket.Put("x", []byte("bytes"))
			object := client.Object{Mount: fakeworker.MountID, Key: "x", ETag: o.ETag, Size: 5}
			limits := client.Terms{Silence: time.Minute, Total: time.Minute}
			if _, _, err := f.client.Fetch(f.Context(), f.client.Candidates(object, 0)[0], object, 0, client.Bytes(make([]byte, 5)), limits); err != nil {
				f.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, 3)
			c := f.start(func(c *client.Config) { c.Poll = test.poll })
			<-c.Changes()
			f.cluster.SetView(v2(f))
			test.send(f)
			f.eventually("the client has the newer view", func() bool { return c.View().GetIndex() == 2 })
			select {
			case <-c.Changes():
			case <-time.After(2 * time.Minute):
				t.Error("Changes has no token")
			}
		})
	}
}

// TestPollingFallsBackOnMasters checks that the masters are polled if no worker
// responds.
func TestPollingFallsBackOnMasters(t *testing.T) {
	f, m := newFixture(t, 2), &masters{}
	c := f.start(func(c *client.Config) { c.Poll, c.Masters = 20*time.Millisecond, m })
	f.stopAll()
	m.set(f.cluster.NewView(3))
	f.eventually("the masters' view is adopted", func() bool { return c.View().GetIndex() == 3 })
}

// TestOlderViewIsRejected checks that the index of the view never decreases.
func TestOlderViewIsRejected(t *testing.T) {
	f := newFixture(t, 2)
	f.cluster.SetView(f.cluster.NewView(5))
	c := f.start(func(c *client.Config) { c.Poll = 5 * time.Millisecond })
	f.cluster.SetView(f.cluster.NewView(4))
	before := f.cluster.Workers[0].Epochs.Load()
	f.eventually("the client has polled", func() bool { return f.cluster.Workers[0].Epochs.Load() > before+3 })
	if got := c.View().GetIndex(); got != 5 {
		t.Errorf("the view was replaced by an older one, %d", got)
	}
}

func TestNamesAreRequestedFromTheOwner(t *testing.T) {
	f := newFixture(t, 5)
	f.start()
	owners := map[string]bool{}
	for i := range 20 {
		dir := fmt.Sprintf("dir%d", i)
		owner := f.owners(dir)[0]
		before := owner.Names.Load()
		f.cluster.Bucket.Put(dir+"/x", []byte("x"))
		response, err := f.client.Lookup(t.Context(), fakeworker.MountID, dir, "x")
		if err != nil || !response.GetFound() || string(response.GetEntry().GetKey()) != dir+"/x" {
			t.Fatalf("got %v, %v", response, err)
		}
		if owner.Names.Load() != before+1 {
			t.Errorf("the owner of %s received no request", dir)
		}
		owners[owner.Name] = true
	}
	if len(owners) < 3 {
		t.Errorf("only %d workers own anything of 20 directories", len(owners))
	}
}

func TestNamesWithFailingWorkers(t *testing.T) {
	refuse := func(code codes.Code) func(*fakeworker.Worker) {
		return func(w *fakeworker.Worker) {
			w.FailNames(func(context.Context) error { return status.Error(code, "injected") })
		}
	}
	// Only workers that hang, and not a busy machine, let this time pass.
	silence := map[string]time.Duration{"silent": 100 * time.Millisecond}
	for name, fail := range map[string]func(*fakeworker.Worker){
		"down":                      (*fakeworker.Worker).Stop,
		"silent":                    (*fakeworker.Worker).HangNames,
		"unavailable":               refuse(codes.Unavailable),
		"throttled":                 refuse(codes.ResourceExhausted),
		"permission denied":         refuse(codes.PermissionDenied),
		"without the mount":         refuse(codes.NotFound),
		"of a version without this": refuse(codes.Unimplemented),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 4)
			f.start(func(c *client.Config) { c.Silence = cmp.Or(silence[name], time.Minute) })
			f.cluster.Bucket.Put("dir/x", []byte("x"))
			order := f.owners("dir")
			fail(order[0])
			fail(order[1])
			response, err := f.client.Lookup(t.Context(), fakeworker.MountID, "dir", "x")
			if err != nil || !response.GetFound() {
				t.Fatalf("lookup: %v, %v", response, err)
			}
			listing, err := f.client.List(t.Context(), fakeworker.MountID, "dir", "", 10)
			if err != nil || len(listing.GetEntries()) != 1 {
				t.Fatalf("listing: %v, %v", listing, err)
			}
			if err := f.client.Forget(t.Context(), fakeworker.MountID, "dir", "x"); err != nil {
				t.Fatalf("forgetting: %v", err)
			}
			if !slices.ContainsFunc(order, func(w *fakeworker.Worker) bool { return w.Forgot("dir", "x") }) {
				t.Error("no worker has forgotten the name")
			}
		})
	}
}

func TestErrorNamesEveryFailure(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(*fakeworker.Worker)
		want error
	}{
		{"down", (*fakeworker.Worker).Stop, client.ErrUnreachable},
		{"silent", (*fakeworker.Worker).HangNames, client.ErrStalled},
		{"unavailable", func(w *fakeworker.Worker) {
			w.FailNames(func(context.Context) error { return status.Error(codes.Unavailable, "the store is down") })
		}, client.ErrUnavailable},
		{"refused", func(w *fakeworker.Worker) {
			w.FailNames(func(context.Context) error {
				return status.Error(codes.PermissionDenied, "oss:ListObjects is missing")
			})
		}, client.ErrPermission},
		{"no mount", func(w *fakeworker.Worker) {
			w.FailNames(func(context.Context) error { return status.Error(codes.NotFound, "no such mount") })
		}, client.ErrUnknownMount},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, 2)
			f.start(func(c *client.Config) {
				c.Silence, c.NameTimeout = time.Minute, time.Minute
				if errors.Is(test.want, client.ErrStalled) {
					c.Silence, c.NameTimeout = 50*time.Millisecond, 200*time.Millisecond
				}
			})
			for _, w := range f.cluster.Workers {
				test.fail(w)
			}
			_, err := f.client.Lookup(t.Context(), fakeworker.MountID, "dir", "x")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), `"dir"`) || !strings.Contains(err.Error(), "worker-0") {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestStoreErrorsStopAfterThreeWorkers checks that not all workers query
// a store that fails.
func TestStoreErrorsStopAfterThreeWorkers(t *testing.T) {
	f := newFixture(t, 8)
	f.start()
	for _, w := range f.cluster.Workers {
		w.FailNames(func(context.Context) error { return status.Error(codes.Unavailable, "the store is down") })
	}
	if _, err := f.client.Lookup(t.Context(), fakeworker.MountID, "dir", "x"); err == nil {
		t.Fatal("no error")
	}
	requests := int64(0)
	for _, w := range f.cluster.Workers {
		requests += w.Names.Load()
	}
	if requests != 3 {
		t.Errorf("%d workers received a request", requests)
	}
}

func TestFailedWorkerIsTriedLastThenRetried(t *testing.T) {
	f := newFixture(t, 3)
	f.start()
	owner := f.owners("dir")[0]
	lookup := func() {
		t.Helper()
		if _, err := f.client.Lookup(t.Context(), fakeworker.MountID, "dir", "x"); err != nil {
			t.Fatal(err)
		}
	}
	owner.Stop()
	lookup()
	owner.Start()
	before := owner.Names.Load()
	lookup()
	if owner.Names.Load() != before {
		t.Error("a worker that failed recently is tried first")
	}
	f.turn(10 * time.Second)
	f.eventually("the owner is tried again", func() bool {
		f.turn(10 * time.Second)
		lookup()
		return owner.Names.Load() > before
	})
}

func TestChangedAddress(t *testing.T) {
	f := newFixture(t, 2)
	c := f.start(func(c *client.Config) { c.Poll = 20 * time.Millisecond })
	// Worker 0 moves to the address of worker 1, whose certificate differs.
	moved := f.cluster.NewView(2)
	moved.Ring.Members = moved.Ring.Members[:1]
	moved.Ring.Members[0].Port = uint32(f.cluster.Topology.Workers[1].Port)
	f.cluster.Workers[1].SetView(moved)
	f.eventually("the view is adopted", func() bool { return c.View().GetIndex() == 2 })
	f.cluster.Bucket.Put("x", []byte("x"))
	object := client.Object{Mount: fakeworker.MountID, Key: "x", ETag: "e", Size: 1}
	_, _, err := c.Fetch(t.Context(), c.Candidates(object, 0)[0], object, 0, client.Bytes(make([]byte, 1)), client.Terms{Silence: time.Minute, Total: time.Minute})
	if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "worker-1") {
		t.Errorf("a worker with the wrong name was accepted: %v", err)
	}
}

func TestUnusualKeysAreNotChanged(t *testing.T) {
	f := newFixture(t, 1)
	c := f.start()
	for _, key := range []string{"plain", "a b/c+d", "per%cent/%2F", "ques?tion#hash", "ü/日本", "semi;colon,comma", "a//b", "tilde~/..x/.y", `quo"te\back`, "new\nline"} {
		data := []byte("bytes of " + key)
		o := f.cluster.Bucket.Put(key, data)
		object := client.Object{Mount: fakeworker.MountID, Key: key, ETag: o.ETag, Size: int64(len(data))}
		p := make([]byte, len(data))
		n, _, err := c.Fetch(t.Context(), c.Candidates(object, 0)[0], object, 0, client.Bytes(p), client.Terms{Silence: time.Minute, Total: time.Minute})
		if err != nil || string(p[:n]) != string(data) {
			t.Errorf("%q: got %q, %v", key, p[:n], err)
		}
	}
}

func TestOnlyTheNamedWorkerIsAccepted(t *testing.T) {
	f := newFixture(t, 1)
	stranger := newFixture(t, 1)
	c := stranger.startOnly(func(c *client.Config) { c.Topology = f.cluster.Topology })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Wait(ctx); err == nil {
		t.Error("a worker of another authority was accepted")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	f := newFixture(t, 1)
	for name, config := range map[string]client.Config{
		"no identity": {Topology: f.cluster.Topology},
		"no topology": {Identity: f.cluster.Identity(mtls.Fuse, "f")},
	} {
		if _, err := client.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAClosedClient(t *testing.T) {
	f := newFixture(t, 1)
	c := f.start()
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lookup(t.Context(), fakeworker.MountID, "", "x"); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
