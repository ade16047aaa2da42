package reader_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/mount/reader"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/file"
)

// singleMount is a source of views with one mount and no workers. In a cluster
// the masters provide the view.
type singleMount struct{ uri string }

func (m singleMount) View(context.Context) (*commonv1.ClusterView, error) {
	return &commonv1.ClusterView{ClusterId: "c1", Index: 1, Mounts: []*commonv1.Mount{
		{Id: "m1", Name: "data", Path: "/data", Uri: m.uri, ReadOnly: true},
	}}, nil
}

// openDirectory is a reader.StoreOpener for file:// mounts.
func openDirectory(_ context.Context, mount *commonv1.Mount) (ufs.Store, error) {
	location, err := ufs.ParseLocation(mount.GetUri())
	if err != nil {
		return nil, err
	}
	return file.Open(location)
}

// newClient creates a client of a cluster without workers.
func newClient(masters client.Masters) (*client.Client, error) {
	authority, err := mtls.NewAuthority("default/example")
	if err != nil {
		return nil, err
	}
	pair, err := authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: "fuse-0"}, nil, time.Hour)
	if err != nil {
		return nil, err
	}
	identity, err := mtls.NewIdentity(pair)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{
		Topology: topology.Topology{Name: "example", ClusterID: "c1"}, Identity: identity, Masters: masters,
	})
}

// A Reader with access to the store serves names and bytes even when no worker is
// available. Open pins one version of the file, so that ReadAt never mixes the
// bytes of two versions.
func ExampleReader() {
	if err := readGreeting(); err != nil {
		fmt.Println(err)
	}
	// Output: /data/greeting: 13 bytes: "reader"
}

func readGreeting() error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "reader")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "greeting"), []byte("hello, reader"), 0o600); err != nil {
		return err
	}

	cluster, err := newClient(singleMount{uri: "file://" + dir + "/"})
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }()
	if err := cluster.Wait(ctx); err != nil {
		return err
	}
	r, err := reader.New(reader.Config{Cluster: cluster, OpenStore: openDirectory})
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()

	mount := r.Mounts()[0]
	entry, err := r.Lookup(ctx, mount.ID, "", "greeting")
	if err != nil {
		return err
	}
	f, err := r.Open(ctx, entry.Version)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	p := make([]byte, 6)
	n, err := f.ReadAt(ctx, p, 7)
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s: %d bytes: %q\n", mount.Path, entry.Name, entry.Version.Size, p[:n])
	return nil
}
