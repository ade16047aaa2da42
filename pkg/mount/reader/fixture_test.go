package reader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a reader of a cluster of fake workers.
type fixture struct {
	*testing.T
	cluster *fakeworker.Cluster
	client  *client.Client
	reader  *Reader
}

func newFixture(t *testing.T, workers int, change ...func(*Config)) *fixture {
	t.Helper()
	return newFixtureOf(t, workers, func(*client.Config) {}, change...)
}

// hasty sets short timeouts for rungs, for tests in which rungs hang.
func hasty(c *Config) { c.StallTimeout, c.AttemptTimeout = 200*time.Millisecond, time.Second }

// patient sets timeouts for rungs within which one that works responds on a busy
// machine too, for tests that count requests while others hang.
func patient(c *Config) { c.StallTimeout, c.AttemptTimeout = 3*time.Second, time.Minute }

func newFixtureOf(t *testing.T, workers int, changeClient func(*client.Config), change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{T: t, cluster: fakeworker.Start(t, workers)}
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("JINDO_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	clientConfig := client.Config{
		Topology: f.cluster.Topology, Identity: f.cluster.Identity(mtls.Fuse, "fuse-0"),
		Poll: 50 * time.Millisecond, Logger: logger,
		// A busy machine must not make a worker look silent: it would be tried last.
		Silence: time.Minute,
	}
	changeClient(&clientConfig)
	var err error
	f.client, err = client.New(clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.client.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	config := Config{Cluster: f.client, ReadTimeout: 10 * time.Minute, StallTimeout: 20 * time.Second, Logger: logger, Registry: prometheus.NewRegistry()}
	for _, c := range change {
		c(&config)
	}
	if f.reader, err = New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.reader.Close() })
	return f
}

// random returns size pseudorandom bytes, the same for every call with a seed.
func random(seed uint64, size int) []byte {
	data := make([]byte, 0, size+8)
	r := rand.New(rand.NewPCG(seed, 1))
	for len(data) < size {
		data = binary.LittleEndian.AppendUint64(data, r.Uint64())
	}
	return data[:size]
}

func (f *fixture) put(key string, data []byte) Version {
	o := f.cluster.Bucket.Put(key, data)
	return Version{Mount: fakeworker.MountID, Key: key, ETag: o.ETag, Size: int64(len(data))}
}

func (f *fixture) open(v Version) *File {
	f.Helper()
	file, err := f.reader.Open(f.Context(), v)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = file.Close() })
	return file
}

// order returns the workers for a version in the order of the ladder, the owner
// first.
func (f *fixture) order(v Version) []*fakeworker.Worker {
	var out []*fakeworker.Worker
	for _, c := range f.client.Candidates(client.Object{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size}, 0) {
		if w := f.cluster.Worker(c.Worker()); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// readAll reads the file sequentially in reads of piece bytes.
func readAll(ctx context.Context, file *File, piece int) ([]byte, error) {
	var out []byte
	p := make([]byte, piece)
	for {
		n, err := file.ReadAt(ctx, p, int64(len(out)))
		out = append(out, p[:n]...)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

func (f *fixture) mustRead(v Version, want []byte, piece int) {
	f.Helper()
	got, err := readAll(f.Context(), f.open(v), piece)
	if err != nil {
		f.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		f.Fatalf("got %d bytes, want %d; the first difference is at %d", len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func (f *fixture) rungs(rung client.Rung) float64 {
	f.Helper()
	return f.value(f.reader.metrics.reads.WithLabelValues(string(rung)))
}

func (f *fixture) value(m prometheus.Metric) float64 {
	f.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		f.Fatal(err)
	}
	return out.GetCounter().GetValue()
}

// memoryStore is a store over the cluster's bucket, with faults.
type memoryStore struct {
	ufs.Store
	bucket *fakeworker.Bucket

	mu   sync.Mutex
	fail error
	gets int
	body func(io.Reader) io.Reader
}

func (s *memoryStore) opener(context.Context, *commonv1.Mount) (ufs.Store, error) { return s, nil }

func (s *memoryStore) String() string { return "memory://bucket/" }

func (s *memoryStore) Close() error { return nil }

func (s *memoryStore) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *memoryStore) Get(ctx context.Context, key string, r ufs.Range, ifMatch string) (io.ReadCloser, ufs.Object, error) {
	s.mu.Lock()
	s.gets++
	fail, body := s.fail, s.body
	s.mu.Unlock()
	if err := errors.Join(fail, ctx.Err()); err != nil {
		return nil, ufs.Object{}, err
	}
	o, ok := s.bucket.Get(key)
	switch {
	case !ok:
		return nil, ufs.Object{}, fmt.Errorf("get %q: %w", key, ufs.ErrNotFound)
	case ifMatch != o.ETag:
		return nil, ufs.Object{}, fmt.Errorf("get %q: %w", key, ufs.ErrPrecondition)
	}
	var reader io.Reader = bytes.NewReader(o.Data[r.Offset : r.Offset+r.Length])
	if body != nil {
		reader = body(reader)
	}
	return io.NopCloser(reader), ufs.Object{Key: key, Size: int64(len(o.Data)), ETag: o.ETag}, nil
}

func (s *memoryStore) Stat(_ context.Context, key string) (ufs.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return ufs.Object{}, s.fail
	}
	o, ok := s.bucket.Get(key)
	if !ok {
		return ufs.Object{}, ufs.ErrNotFound
	}
	return ufs.Object{Key: key, Size: int64(len(o.Data)), ETag: o.ETag}, nil
}
