package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/bench/link"
	"github.com/jindo-io/jindo/test/bench/lister"
	"github.com/jindo-io/jindo/test/bench/peer"
	"github.com/jindo-io/jindo/test/bench/shaper"
	"github.com/jindo-io/jindo/test/testbed"
)

// lab is a store with a data set, a proxy in front of it, and every contender
// that mounts it, started once for all rows with the same setup.
type lab struct {
	setup
	source  string // directory of the bucket
	direct  string // URL of the store
	stop    func() // of the store
	proxy   *shaper.Proxy
	raw     ufs.Store
	testbed *testbed.Testbed
	peers   []*peer.Peer
	missing []string
	// link and remote are set where contenders are at the other end of a link.
	link   *link.Link
	remote *remoteMount
	// filled is set once every contender has cached the warm file.
	filled bool
}

// contender is one way to read the data set.
type contender struct {
	name string
	root string
	pids []int
	// client holds those of the processes that serve the mount.
	client []int
	// limit is set for the plain files of the store.
	limit bool
	// caches is false for a mount without a cache of file contents.
	caches bool
	// bounded is set where the size of the cache was set.
	bounded bool
	// stop, unless nil, ends a contender for the reason given.
	stop func(reason error)
}

// setup is what a lab is started with.
type setup struct {
	name  string
	files layout
	// cacheMiB bounds the cache of each contender.
	cacheMiB int
	// write, unless nil, adds files to the directory of the bucket.
	write func(ctx context.Context, dir string) error
	// listing, unless nil, is served instead of files; written is the number of
	// its directories that also exist as plain files.
	listing *lister.Bucket
	written int
	// without maps peers that are left out to the reason.
	without map[string]string
	// rate, unless 0, is that of the link between the contenders' mounts and this
	// machine, in bytes per second.
	rate int64
	// loadLimit, unless 0, replaces the timeout of a load of a peer.
	loadLimit time.Duration
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
	l := &lab{setup: s, source: filepath.Join(r.dir, "store", bucket)}
	r.lab = l
	for _, left := range []string{"store", "peers", "remote"} {
		if err := os.RemoveAll(filepath.Join(r.dir, left)); err != nil {
			return nil, err
		}
	}
	var err error
	if s.rate > 0 {
		if l.link, err = link.Open(ctx, s.rate); err != nil {
			return nil, err
		}
	}
	serve := l.serve
	if s.listing != nil {
		serve = func(ctx context.Context) error { return l.serveListing(ctx, *s.listing, s.written) }
	}
	if err := serve(ctx); err != nil {
		return nil, err
	}
	if err := l.mountOurs(ctx, r); err != nil {
		return nil, err
	}
	l.mountPeers(ctx, r)
	return l, nil
}

func (l *lab) mountOurs(ctx context.Context, r *run) error {
	keys, err := credentials{}.Credentials(ctx)
	if err != nil {
		return err
	}
	l.testbed, err = testbed.Open(ctx, testbed.Options{
		Bin: r.bin, Dir: r.dir,
		Bucket: &testbed.Bucket{Name: bucket, Endpoint: l.endpoint(), Credentials: keys},
		Tiers:  fmt.Sprintf("[{mediumtype: SSD, path: /mnt/disk1, quota: %dMi}]", l.cacheMiB/workers),
	})
	if err != nil || l.link == nil {
		return err
	}
	l.remote, err = mountRemote(ctx, l.link, l.testbed, filepath.Join(r.dir, "remote"))
	return err
}

func (l *lab) mountPeers(ctx context.Context, r *run) {
	options := peer.Options{Dir: filepath.Join(r.dir, "peers"), CacheMiB: l.cacheMiB, Store: peer.Store{
		Endpoint: l.endpoint(), Direct: l.direct, Listing: l.listing != nil, Bucket: bucket, AccessKeyID: accessKey, AccessKeySecret: secretKey, Source: l.source,
	}}
	if l.link != nil {
		options.Begin, options.Store.Direct = l.link.Start, l.endpoint()
	}
	for _, name := range peer.Names() {
		if reason, ok := l.without[name]; ok {
			l.missing = append(l.missing, name+": "+reason)
			continue
		}
		p, err := peer.Start(ctx, name, options)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			l.missing = append(l.missing, err.Error())
			continue
		}
		l.peers = append(l.peers, p)
	}
}

// stopPeer leaves a peer out of later contests.
func (l *lab) stopPeer(p *peer.Peer, reason error) {
	p.Stop()
	l.peers = slices.DeleteFunc(l.peers, func(other *peer.Peer) bool { return other == p })
	l.missing = append(l.missing, fmt.Sprintf("%s: %v", p.Name, reason))
}

// contenders returns the mounts, and first the store's own files as the limit.
func (l *lab) contenders() ([]contender, error) {
	own, err := l.own()
	if err != nil {
		return nil, err
	}
	all := []contender{{name: "plain file", root: l.source, limit: true, caches: true}, own}
	for _, p := range l.peers {
		all = append(all, contender{
			name: p.Name, root: p.Root, pids: p.PIDs(), client: p.Client(), caches: p.Caches, bounded: p.Bounded,
			stop: func(reason error) { l.stopPeer(p, reason) },
		})
	}
	return all, nil
}

// own returns our contender.
func (l *lab) own() (contender, error) {
	c := contender{name: ours, root: l.testbed.Root(), caches: true, bounded: true}
	var err error
	if c.pids, err = l.testbed.PIDs(); err != nil {
		return c, err
	}
	if l.remote != nil {
		c.root, c.client = l.remote.root, []int{l.remote.pid()}
		c.pids = append(c.pids, c.client...)
		return c, nil
	}
	servers, err := l.testbed.Components("fuse")
	if err != nil {
		return c, err
	}
	for _, name := range servers {
		pid, err := l.testbed.PID(name)
		if err != nil {
			return c, err
		}
		c.client = append(c.client, pid)
	}
	return c, nil
}

func (l *lab) close() {
	if l == nil {
		return
	}
	for _, p := range slices.Backward(l.peers) {
		p.Stop()
	}
	if l.remote != nil {
		l.remote.close()
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
	if l.link != nil {
		l.link.Close()
	}
}
