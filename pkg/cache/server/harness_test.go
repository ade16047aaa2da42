package server

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bucket is an object store in memory that fails on demand.
type bucket struct {
	ufs.Store // nil: the methods not defined here are not called

	mu      sync.Mutex
	objects map[string][]byte
	tags    map[string]string
	fail    error                             // of the next Gets
	body    func(io.ReadCloser) io.ReadCloser // wraps the bodies that follow
	before  func(ctx context.Context, r ufs.Range) error
	gets    atomic.Int64
	sent    atomic.Int64
	closed  atomic.Bool
}

func newBucket() *bucket { return &bucket{objects: map[string][]byte{}, tags: map[string]string{}} }

func tagOf(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func randomBytes(seed uint64, size int) []byte {
	data := make([]byte, size+8)
	r := rand.New(rand.NewPCG(seed, 7))
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], r.Uint64())
	}
	return data[:size]
}

// put stores random bytes and returns their version.
func (b *bucket) put(key string, seed uint64, size int) blockstore.Key {
	data := randomBytes(seed, size)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key], b.tags[key] = data, tagOf(data)
	return blockstore.Key{Mount: "m1", Key: key, ETag: b.tags[key], Size: int64(size)}
}

func (b *bucket) get(key string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects[key]
}

func (b *bucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

func (b *bucket) failWith(err error, body func(io.ReadCloser) io.ReadCloser) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail, b.body = err, body
}

func (b *bucket) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	b.gets.Add(1)
	b.mu.Lock()
	data, ok := b.objects[key]
	tag := b.tags[key]
	fail, wrap, before := b.fail, b.body, b.before
	b.mu.Unlock()
	if before != nil {
		if err := before(ctx, r); err != nil {
			return nil, ufs.Object{}, err
		}
	}
	switch {
	case fail != nil:
		return nil, ufs.Object{}, fmt.Errorf("GET %s: %w", key, fail)
	case !ok:
		return nil, ufs.Object{}, fmt.Errorf("GET %s: %w", key, ufs.ErrNotFound)
	case ifMatch != "" && ifMatch != tag:
		return nil, ufs.Object{}, fmt.Errorf("GET %s: %w", key, ufs.ErrPrecondition)
	}
	end := min(r.Offset+r.Length, int64(len(data)))
	b.sent.Add(end - r.Offset)
	body := io.NopCloser(bytes.NewReader(data[r.Offset:end]))
	if wrap != nil {
		body = wrap(body)
	}
	return body, ufs.Object{Key: key, Size: int64(len(data)), ETag: tag}, nil
}

func (b *bucket) List(context.Context, ufs.ListOptions) (ufs.Page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return ufs.Page{}, b.fail
}

func (b *bucket) Close() error { b.closed.Store(true); return nil }

// directory is a Directory without listings that records the names that it
// must forget.
type directory struct {
	mu        sync.Mutex
	forgotten []string
	counted   []string
	err       error
	entries   map[string]*workerv1.Entry
}

func (d *directory) Lookup(_ context.Context, _ dirstore.Mount, dir, name string) (dirstore.LookupResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	entry := d.entries[dir+"/"+name]
	return dirstore.LookupResult{Found: entry != nil, Entry: entry, Age: time.Second}, d.err
}

func (d *directory) List(context.Context, dirstore.Mount, string, string, int) (dirstore.Listing, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*workerv1.Entry
	for _, e := range d.entries {
		all = append(all, e)
	}
	return dirstore.Listing{Entries: all}, d.err
}

func (d *directory) Forget(mountID, dir, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgotten = append(d.forgotten, mountID+":"+dir+"/"+name)
}

// Counted returns numbers once Count was called for the mount.
func (d *directory) Counted(string) dirstore.Totals {
	if d.countedMounts() == 0 {
		return dirstore.Totals{Objects: -1, Bytes: -1}
	}
	return dirstore.Totals{Objects: 7, Bytes: 70, AtLeast: true, Hidden: 3}
}

func (d *directory) Count(mount dirstore.Mount) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counted = append(d.counted, mount.ID)
}

func (d *directory) countedMounts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.counted)
}

func (d *directory) forgot() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.forgotten...)
}

// masters is a fake of the masters that can be stopped.
type masters struct {
	mu         sync.Mutex
	dead       bool
	view       *commonv1.ClusterView
	registered []*commonv1.RingMember
	reports    []*commonv1.WorkerReport
	// taken is an id that another worker has registered.
	taken string
}

var errDead = errors.New("no master is reachable")

func (m *masters) View(context.Context) (*commonv1.ClusterView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	return proto.CloneOf(m.view), nil
}

func (m *masters) RegisterWorker(_ context.Context, member *commonv1.RingMember, _ string) (*commonv1.ClusterView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	if member.GetId() == m.taken {
		return nil, fmt.Errorf("register: %w", &client.RefusedError{Reason: client.ReasonIDTaken, Message: "another worker has the id"})
	}
	m.registered = append(m.registered, member)
	return proto.CloneOf(m.view), nil
}

func (m *masters) Heartbeat(_ context.Context, report *commonv1.WorkerReport, _ string) []HeartbeatResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return []HeartbeatResult{{Master: "a", Err: errDead}}
	}
	m.reports = append(m.reports, report)
	return []HeartbeatResult{{Master: "a", ViewIndex: m.view.GetIndex(), Registered: len(m.registered) > 0}}
}

func (m *masters) change(f func(*commonv1.ClusterView)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := proto.CloneOf(m.view)
	f(next)
	next.Index++
	m.view = next
}

// index returns the index of the view.
func (m *masters) index() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view.GetIndex()
}

// last returns the last report; an empty one if there was none.
func (m *masters) last() *commonv1.WorkerReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.reports) == 0 {
		return &commonv1.WorkerReport{}
	}
	return m.reports[len(m.reports)-1]
}

func (m *masters) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

const workerName = "hadoop-jindofs-worker-0"

func oneMount() *commonv1.ClusterView {
	return &commonv1.ClusterView{
		ClusterId: "c1", FormatVersion: 1, Index: 5,
		Mounts: []*commonv1.Mount{{Id: "m1", Name: "hadoop", Path: "/hadoop", Uri: "oss://bucket/", Epoch: 3, ReadOnly: true}},
		Ring:   &commonv1.Ring{Epoch: 2, Members: []*commonv1.RingMember{{Id: "x", Name: workerName, Host: "127.0.0.1", Port: 1, Weight: 1 << 30}}},
	}
}

// harness is one worker with fakes of everything it uses.
type harness struct {
	t         testing.TB
	name      string // of the worker
	authority *mtls.Authority
	bucket    *bucket
	directory *directory
	masters   *masters
	blocks    *blockstore.Store
	tier      string // directory of blocks
	quota     int64  // of the tier; 256 MiB when 0
	// now is the clock of the block store; nil is the real one.
	now     func() time.Time
	worker  *Worker
	config  Config
	cancel  context.CancelFunc
	stopped chan error
}

func newHarness(t testing.TB, change ...func(*harness)) *harness {
	t.Helper()
	authority, err := mtls.NewAuthority("default/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, name: workerName, authority: authority, bucket: newBucket(), directory: &directory{}, masters: &masters{view: oneMount()}}
	h.config = Config{
		Name: workerName, Host: "127.0.0.1", Port: 18005, ClusterID: "c1", Listen: "127.0.0.1:0",
		Identity: h.identity(mtls.Worker, workerName), DataDir: t.TempDir(),
		Masters: h.masters, Directory: h.directory,
		OpenStore: func(context.Context, *commonv1.Mount) (ufs.Store, error) { return h.bucket, nil },
		Heartbeat: 10 * time.Millisecond, WriteTimeout: 20 * time.Second,
		PeerTimeout: time.Minute, // so that a busy machine causes no request to the store
		Connections: patient(Limits()), LocalConnections: patient(LocalLimits()),
	}
	if testing.Verbose() {
		h.config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	for _, f := range change {
		f(h)
	}
	h.openBlocks(t.TempDir())
	h.start()
	t.Cleanup(h.stop)
	return h
}

// patient returns limits for a busy machine, which may delay a handshake for long.
func patient(limits netlimit.Limits) netlimit.Limits {
	limits.Handshake = time.Minute
	return limits
}

func (h *harness) openBlocks(dir string) {
	h.t.Helper()
	h.tier = dir
	if h.quota == 0 {
		h.quota = 256 << 20
	}
	blocks, err := blockstore.Open(blockstore.Config{
		Tiers: []blockstore.Tier{{Medium: "MEM", Path: dir, Quota: h.quota, Floor: 1}}, BlockSize: 64 << 10, Now: h.now, Logger: h.config.Logger,
		// A busy machine may delay an operation of the disk for long.
		DiskTimeout: time.Hour, LoadWait: time.Hour,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.blocks, h.config.Blocks = blocks, blocks
}

func (h *harness) start() {
	h.t.Helper()
	worker, err := New(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.worker, h.cancel, h.stopped = worker, cancel, make(chan error, 1)
	go func() { h.stopped <- worker.Run(ctx) }()
}

func (h *harness) stop() {
	h.t.Helper()
	h.cancel()
	if err := <-h.stopped; err != nil {
		h.t.Errorf("worker: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := h.blocks.Close(ctx); err != nil {
		h.t.Error(err)
	}
}

func (h *harness) ready() *harness {
	h.t.Helper()
	eventually(h.t, "the worker is ready", func() bool { return h.worker.Ready() == nil })
	return h
}

func (h *harness) identity(role mtls.Role, name string) *mtls.Identity {
	h.t.Helper()
	dir := h.t.TempDir()
	pair, err := h.authority.Issue(mtls.Peer{Role: role, Name: name}, []string{"127.0.0.1"}, time.Hour)
	if err == nil {
		err = pair.Save(dir)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	i, err := mtls.LoadIdentity(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}

// client returns a client that uses HTTP/2 if h2 is set, else HTTP/1.1.
func (h *harness) client(role mtls.Role, h2 bool) *http.Client {
	config := h.identity(role, "client").ClientConfig(mtls.Worker, h.name)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}
	if !h2 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// granted returns a client whose certificate names mounts.
func (h *harness) granted(role mtls.Role, grants ...mtls.Grant) *http.Client {
	h.t.Helper()
	pair, err := h.authority.Issue(mtls.Peer{Role: role, Name: "client"}, nil, time.Hour, grants...)
	if err != nil {
		h.t.Fatal(err)
	}
	identity, err := mtls.NewIdentity(pair)
	if err != nil {
		h.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: identity.ClientConfig(mtls.Worker, h.name)}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type response struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (a response) code() wire.Code {
	f, err := wire.ReadFailure(&http.Response{StatusCode: a.status, Body: io.NopCloser(bytes.NewReader(a.body))})
	if err != nil {
		return ""
	}
	return f.Code
}

// get reads a range of a version. extra are additional headers in pairs.
func (h *harness) get(client *http.Client, key blockstore.Key, first, last int64, extra ...string) (response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	request, err := wire.NewHTTPRequest(ctx, h.worker.Addr().String(), wire.Request{
		Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, First: first, Last: last,
	})
	if err != nil {
		return response{}, err
	}
	for i := 0; i+1 < len(extra); i += 2 {
		request.Header.Set(extra[i], extra[i+1])
	}
	reply, err := client.Do(request)
	if err != nil {
		return response{}, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return response{reply.StatusCode, reply.Header, body, err}, nil
}

// mustGet requires the response to be the bytes of the bucket.
func (h *harness) mustGet(client *http.Client, key blockstore.Key, first, last int64, extra ...string) response {
	h.t.Helper()
	want := h.bucket.get(key.Key)
	a, err := h.get(client, key, first, last, extra...)
	if err != nil || a.err != nil || a.status != http.StatusPartialContent {
		h.t.Fatalf("reading %s: %d %s %v %v", key.Key, a.status, a.body[:min(len(a.body), 200)], err, a.err)
	}
	if !bytes.Equal(a.body, want[first:last+1]) {
		h.t.Fatalf("reading %s: wrong bytes", key.Key)
	}
	return a
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
