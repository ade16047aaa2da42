package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/test/bench/lister"
	"github.com/jindo-io/jindo/test/bench/peer"
	"github.com/jindo-io/jindo/test/bench/shaper"
	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/s3server"
	"github.com/jindo-io/jindo/test/testbed"
)

// Names and keys of the store.
const (
	bucket    = "bench"
	accessKey = "bench-access-key"
	secretKey = "bench-access-secret"
)

// shaped is what cold rows call a store at some distance.
var shaped = shaper.Shape{FirstByte: 20 * time.Millisecond, PerConnection: 100e6, Total: 300e6}

// lab is a store with a data set, a proxy in front of it, and every contender
// that mounts it, started once for all rows.
type lab struct {
	name    string
	source  string // directory of the bucket
	direct  string // URL of the store
	stop    func() // of the store
	proxy   *shaper.Proxy
	raw     ufs.Store
	testbed *testbed.Testbed
	peers   []*peer.Peer
	missing []string
	files   layout
	// filled is set once every contender has cached the warm file.
	filled bool
}

// contender is one way to read the data set.
type contender struct {
	name string
	root string
	pids []int
	// limit is set for the plain files of the store.
	limit bool
	// caches is false for a mount without a cache of file contents.
	caches bool
	// bounded is set where the size of the cache was set.
	bounded bool
}

// setup is what a lab is started with.
type setup struct {
	name  string
	files layout
	// cacheMiB bounds the cache of each contender.
	cacheMiB int
	// listing, unless nil, is served instead of files.
	listing *lister.Bucket
}

// workers of our contender, which share its cache.
const workers = 3

// open starts the lab of most rows, unless it runs.
func (r *run) open(ctx context.Context) (*lab, error) {
	return r.openWith(ctx, setup{name: "reads", files: plan(r.repetitions), cacheMiB: 24 << 10})
}

// openWith starts a lab, in place of one with another setup.
func (r *run) openWith(ctx context.Context, s setup) (*lab, error) {
	if r.lab != nil && r.lab.name == s.name {
		return r.lab, nil
	}
	r.lab.close()
	l := &lab{name: s.name, source: filepath.Join(r.dir, "store", bucket), files: s.files}
	r.lab = l
	for _, left := range []string{"store", "peers"} {
		if err := os.RemoveAll(filepath.Join(r.dir, left)); err != nil {
			return nil, err
		}
	}
	serve := l.serve
	if s.listing != nil {
		serve = func(ctx context.Context) error { return l.serveListing(ctx, *s.listing) }
	}
	if err := serve(ctx); err != nil {
		return nil, err
	}
	if err := l.mountOurs(ctx, r, s.cacheMiB); err != nil {
		return nil, err
	}
	l.mountPeers(ctx, r, s.cacheMiB)
	return l, nil
}

// serve writes the data set and starts the store and the proxy.
func (l *lab) serve(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(filepath.Dir(l.source), "juicefs-"+bucket), 0o755); err != nil {
		return fmt.Errorf("write the data set: %w", err)
	}
	for _, f := range l.files.all() {
		if err := writeObject(l.source, f); err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
	}
	binary, err := s3server.Find(ctx, os.Stderr)
	if err != nil {
		return err
	}
	server, err := s3server.Start(ctx, s3server.Config{Binary: binary, Dir: filepath.Dir(l.source), AccessKeyID: accessKey, AccessKeySecret: secretKey})
	if err != nil {
		return err
	}
	l.stop, l.direct = server.Stop, server.Endpoint
	return l.front(ctx)
}

// serveListing serves a bucket that is only a listing, and writes the same
// directories with empty files.
func (l *lab) serveListing(ctx context.Context, b lister.Bucket) error {
	for i := range b.Directories {
		if err := emptyFiles(filepath.Join(l.source, fmt.Sprintf("d%05d", i)), b.Objects); err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve a listing: %w", err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	l.stop, l.direct = func() { _ = server.Close() }, "http://"+listener.Addr().String()
	return l.front(ctx)
}

func emptyFiles(dir string, count int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range count {
		file, err := os.Create(filepath.Join(dir, fmt.Sprintf("object-%06d.bin", i)))
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// front starts the proxy before the store, and opens the store through it.
func (l *lab) front(ctx context.Context) error {
	direct, err := url.Parse(l.direct)
	if err != nil {
		return err
	}
	if l.proxy, err = shaper.Start(direct.Host, shaper.Shape{}); err != nil {
		return err
	}
	l.raw, err = drivers.Open(ctx, "s3://"+bucket+"/", map[string]string{"fs.s3.endpoint": l.endpoint()}, credentials{})
	return err
}

// writeObject writes a file with the ETag of an object, which the store would
// otherwise not have.
func writeObject(root string, f dataset.File) error {
	path := filepath.Join(root, f.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	content := f.Content()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	sum := md5.Sum(content) //nolint:gosec // the ETag of S3
	return unix.Setxattr(path, "user.etag", []byte(hex.EncodeToString(sum[:])), 0)
}

type credentials struct{}

// Credentials implements ufs.CredentialsSource.
func (credentials) Credentials(context.Context) (ufs.Credentials, error) {
	return ufs.Credentials{AccessKeyID: accessKey, AccessKeySecret: secretKey}, nil
}

func (l *lab) endpoint() string { return "http://" + l.proxy.Address() }

func (l *lab) mountOurs(ctx context.Context, r *run, cacheMiB int) error {
	keys, err := credentials{}.Credentials(ctx)
	if err != nil {
		return err
	}
	l.testbed, err = testbed.Open(ctx, testbed.Options{
		Bin: r.bin, Dir: r.dir,
		Bucket: &testbed.Bucket{Name: bucket, Endpoint: l.endpoint(), Credentials: keys},
		Tiers:  fmt.Sprintf("[{mediumtype: SSD, path: /mnt/disk1, quota: %dMi}]", cacheMiB/workers),
	})
	return err
}

func (l *lab) mountPeers(ctx context.Context, r *run, cacheMiB int) {
	options := peer.Options{Dir: filepath.Join(r.dir, "peers"), CacheMiB: cacheMiB, Store: peer.Store{
		Endpoint: l.endpoint(), Direct: l.direct, Listing: l.files.listing, Bucket: bucket, AccessKeyID: accessKey, AccessKeySecret: secretKey, Source: l.source,
	}}
	for _, name := range peer.Names() {
		p, err := peer.Start(ctx, name, options)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			l.missing = append(l.missing, err.Error())
			continue
		}
		l.peers = append(l.peers, p)
	}
}

// contenders returns the mounts, and first the store's own files as the limit.
func (l *lab) contenders() ([]contender, error) {
	pids, err := l.testbed.PIDs()
	if err != nil {
		return nil, err
	}
	all := []contender{
		{name: "plain file", root: l.source, limit: true, caches: true},
		{name: ours, root: l.testbed.Root(), pids: pids, caches: true, bounded: true},
	}
	for _, p := range l.peers {
		all = append(all, contender{name: p.Name, root: p.Root, pids: p.PIDs(), caches: p.Caches, bounded: p.Bounded})
	}
	return all, nil
}

func (l *lab) close() {
	if l == nil {
		return
	}
	for _, p := range slices.Backward(l.peers) {
		p.Stop()
	}
	if l.testbed != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.testbed.Down(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		l.testbed.Close()
	}
	if l.raw != nil {
		_ = l.raw.Close()
	}
	if l.proxy != nil {
		l.proxy.Close()
	}
	if l.stop != nil {
		l.stop()
	}
}
