//go:build linux

package node

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/jindo-io/jindo/pkg/kube/csi/fdstore"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// actAsPlugin runs the plugin until the process is killed.
func actAsPlugin(kubelet, fdStoreSocket, endpoint string) error {
	ctx := context.Background()
	client := fdstore.NewClient(fdStoreSocket, testLogger())
	node, err := New(ctx, Config{
		Name: "node-a", Version: "test", KubeletDir: kubelet, Cluster: newFakeCluster(), FDStore: client,
		PublishTimeout: 20 * time.Millisecond, Logger: testLogger(),
	})
	if err != nil {
		return err
	}
	go client.Run(ctx)
	go node.Run(ctx)
	return node.Serve(ctx, endpoint)
}

// readers read one file repeatedly, through a handle that stays open and through
// new ones, until a read fails.
type readers struct {
	failed atomic.Pointer[error]
	rounds atomic.Int64
	stop   chan struct{}
	ended  chan struct{}
}

func (s *testbed) startReading(path string) *readers {
	s.t.Helper()
	open, err := os.Open(path)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &readers{stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		defer func() { _ = open.Close() }()
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			got, err := os.ReadFile(path)
			if err == nil && string(got) != content {
				err = errors.New("wrong bytes")
			}
			if err == nil {
				buffer := make([]byte, len(content))
				if _, err = open.ReadAt(buffer, 0); errors.Is(err, io.EOF) {
					err = nil
				}
			}
			if err != nil {
				r.failed.Store(&err)
				return
			}
			r.rounds.Add(1)
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return r
}

// waitForReads waits until a few more reads have succeeded.
func (s *testbed) waitForReads(r *readers) {
	s.t.Helper()
	from := r.rounds.Load()
	s.eventually("more reads succeed", func() bool {
		if err := r.failed.Load(); err != nil {
			s.t.Fatalf("after %d rounds: %v", r.rounds.Load(), *err)
		}
		return r.rounds.Load() > from+20
	})
}

func (s *testbed) stopReading(r *readers) {
	close(r.stop)
	<-r.ended
}

func TestReadsContinueAcrossPluginRestarts(t *testing.T) {
	s := newTestbed(t, nil)
	session, volume := s.inlineRequest("fuse", names.RoleFuse), s.filesRequest("reader", nil)
	s.mustPublish(session)
	kill := s.startServer(session)
	s.mustPublish(volume)
	r := s.startReading(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	defer s.stopReading(r)
	before := s.mountsBelow(s.kubelet)
	for range 3 {
		s.restart(nil)
		s.mustPublish(session)
		s.mustPublish(volume)
		s.waitForReads(r)
	}
	if after := s.mountsBelow(s.kubelet); !slices.Equal(before, after) {
		t.Errorf("mounts before %v, after %v", before, after)
	}
	// The new plugin hands the mount off to the next server.
	s.eventually("the server has returned the mount", func() bool {
		return s.node.runtime(s.node.store.All()[0].Runtime).manager.Serving() == nil
	})
	kill()
	s.startServer(session)
	s.waitForReads(r)
	// So does a plugin that starts while no server runs.
	s.mustPublish(s.filesRequest("other", nil))
	if len(s.cluster.events) > 0 {
		t.Errorf("events %v", s.cluster.events)
	}
}

func TestServerAndPluginRestartTogether(t *testing.T) {
	s := newTestbed(t, nil)
	session, volume := s.inlineRequest("fuse", names.RoleFuse), s.filesRequest("reader", nil)
	s.mustPublish(session)
	kill := s.startServer(session)
	s.mustPublish(volume)
	r := s.startReading(filepath.Join(volume.GetTargetPath(), "data", "hello"))
	defer s.stopReading(r)
	s.waitForReads(r)
	kill()
	s.restart(nil)
	s.mustPublish(session)
	s.startServer(session)
	s.mustPublish(volume)
	s.waitForReads(r)
}

// processTestbed is a testbed whose descriptor store and plugin are processes.
type processTestbed struct {
	*testbed
	endpoint    string
	killPlugin  func()
	killFDStore func()
	client      csi.NodeClient
}

func newProcessTestbed(t *testing.T) *processTestbed {
	s := newTestbed(t, nil)
	s.stopNode()
	s.fdStoreSocket = filepath.Join(filepath.Dir(s.kubelet), "keep2", "s")
	p := &processTestbed{testbed: s, endpoint: filepath.Join(filepath.Dir(s.kubelet), "csi.sock")}
	conn, err := grpc.NewClient("unix://"+p.endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.client = csi.NewNodeClient(conn)
	p.startFDStore()
	p.startPlugin()
	return p
}

func (p *processTestbed) startFDStore() { p.killFDStore = p.process("fdstore", p.fdStoreSocket) }

func (p *processTestbed) startPlugin() {
	p.killPlugin = p.process("plugin", p.kubelet, p.fdStoreSocket, p.endpoint)
}

func (p *processTestbed) publishUntil(req *csi.NodePublishVolumeRequest) {
	p.t.Helper()
	p.eventually("published "+req.GetTargetPath(), func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := p.client.NodePublishVolume(ctx, req, grpc.WaitForReady(true))
		return err == nil
	})
}

func TestProcessesAreKilled(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(p *processTestbed, session *csi.NodePublishVolumeRequest, killServer func())
	}{
		{"plugin", func(p *processTestbed, _ *csi.NodePublishVolumeRequest, _ func()) {
			p.killPlugin()
			p.startPlugin()
		}},
		{"descriptor store, then plugin", func(p *processTestbed, _ *csi.NodePublishVolumeRequest, _ func()) {
			p.killFDStore()
			p.startFDStore()
			// Kill the plugin only after it has stored the mount again.
			p.eventually("the mount is stored again", func() bool { return p.storedEntries() > 0 })
			p.killPlugin()
			p.startPlugin()
		}},
		{"plugin and server", func(p *processTestbed, session *csi.NodePublishVolumeRequest, killServer func()) {
			p.killPlugin()
			killServer()
			p.startPlugin()
			p.publishUntil(session)
			p.startServer(session)
		}},
		{"plugin and descriptor store, but not the server", func(p *processTestbed, _ *csi.NodePublishVolumeRequest, _ func()) {
			p.killPlugin()
			p.killFDStore()
			p.startFDStore()
			p.startPlugin()
		}},
		{"plugin and descriptor store, then the server", func(p *processTestbed, session *csi.NodePublishVolumeRequest, killServer func()) {
			p.killPlugin()
			p.killFDStore()
			p.startFDStore()
			p.startPlugin()
			// The kubelet publishes volumes again only after a minute.
			p.eventually("the mount is stored again", func() bool { return p.storedEntries() > 0 })
			killServer()
			p.startServer(session)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProcessTestbed(t)
			session, volume := p.inlineRequest("fuse", names.RoleFuse), p.filesRequest("reader", nil)
			p.publishUntil(session)
			killServer := p.startServer(session)
			p.publishUntil(volume)
			r := p.startReading(filepath.Join(volume.GetTargetPath(), "data", "hello"))
			defer p.stopReading(r)
			p.waitForReads(r)
			for range 2 {
				c.act(p, session, killServer)
				p.publishUntil(session)
				p.publishUntil(volume)
				p.publishUntil(p.filesRequest("other", nil))
				p.waitForReads(r)
			}
		})
	}
}

// storedEntries returns the number of entries in the descriptor store. It connects
// as a new client, after which the plugin reconnects.
func (p *processTestbed) storedEntries() int {
	client := fdstore.NewClient(p.fdStoreSocket, testLogger())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	entries, err := client.Connect(ctx)
	if err != nil {
		return 0
	}
	for _, d := range entries {
		for _, f := range d.Files {
			_ = f.Close()
		}
	}
	ended, stop := context.WithCancel(context.Background())
	stop()
	client.Run(ended)
	return len(entries)
}

func TestNewContainersReadAfterEverythingRestarted(t *testing.T) {
	s := newTestbed(t, nil)
	session, volume := s.inlineRequest("fuse", names.RoleFuse), s.filesRequest("reader", nil)
	s.mustPublish(session)
	kill := s.startServer(session)
	s.mustPublish(volume)
	path := filepath.Join(volume.GetTargetPath(), "data", "hello")
	open, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	kill()
	s.stopNode()
	s.node.config.FDStore = nil
	client := fdstore.NewClient(s.fdStoreSocket, testLogger())
	entries, err := client.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range entries {
		for _, f := range d.Files {
			_ = f.Close()
		}
		if err := client.Remove(d.Key); err != nil {
			t.Fatal(err)
		}
	}
	ended, stop := context.WithCancel(context.Background())
	stop()
	client.Run(ended)
	// The kernel closes descriptors that were on their way through a socket a moment
	// later, so that the connection may end during the read.
	if _, err := open.ReadAt(make([]byte, 1), 0); !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
		t.Errorf("read of an old handle returned %v, want ENOTCONN or ECONNABORTED", err)
	}
	s.start(nil)
	s.mustPublish(session)
	s.startServer(session)
	s.mustPublish(volume)
	s.read(path)
	if len(s.cluster.events) != 1 || !strings.Contains(s.cluster.events[0], "reader MountRenewed") {
		t.Errorf("events %v", s.cluster.events)
	}
}
