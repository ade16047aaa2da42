package s3_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/s3"
	"github.com/jindo-io/jindo/pkg/ufs/ufstest"
	"github.com/jindo-io/jindo/test/s3server"
)

const (
	keyID     = "test-id"
	keySecret = "test-secret"
)

// gateway is one versitygw for all tests of the package, started by the first
// that needs it. Each test has its own bucket.
type gateway struct {
	once   sync.Once
	server *s3server.Server
	dir    string
	err    error
	count  atomic.Int64
}

var shared gateway

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// endpoint starts the gateway, or skips the test with the reason.
func endpoint(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if shared.err != nil {
		t.Skipf("not run: no versitygw: %v", shared.err)
	}
	return shared.server.Endpoint
}

func (g *gateway) start() error {
	binary, err := s3server.Find(context.Background(), os.Stderr)
	if err != nil {
		return err
	}
	if g.dir, err = os.MkdirTemp("", "jindo-s3-"); err != nil {
		return err
	}
	g.server, err = s3server.Start(context.Background(), s3server.Config{
		Binary: binary, Dir: g.dir, AccessKeyID: keyID, AccessKeySecret: keySecret,
	})
	return err
}

// bucket creates a bucket and returns its name.
func bucket(t testing.TB) string {
	t.Helper()
	endpoint(t)
	name := fmt.Sprintf("bucket-%d", shared.count.Add(1))
	if err := os.Mkdir(shared.dir+"/"+name, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func configure(endpoint, uri string) s3.Config {
	location, err := ufs.ParseLocation(uri)
	if err != nil {
		panic(err)
	}
	return s3.Config{Location: location, Options: map[string]string{
		"fs.s3.endpoint": endpoint, "fs.s3.accessKeyId": keyID, "fs.s3.accessKeySecret": keySecret,
	}}
}

func open(t testing.TB, c s3.Config) *s3.Store {
	t.Helper()
	store, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestConformance(t *testing.T) {
	url := endpoint(t)
	denied := map[string]func(t testing.TB) ufs.Store{}
	for name, change := range map[string]func(map[string]string){
		"key id":    func(o map[string]string) { o["fs.s3.accessKeyId"] = "other" },
		"secret":    func(o map[string]string) { o["fs.s3.accessKeySecret"] = "other" },
		"anonymous": func(o map[string]string) { delete(o, "fs.s3.accessKeyId"); delete(o, "fs.s3.accessKeySecret") },
	} {
		denied[name] = func(t testing.TB) ufs.Store {
			c := configure(url, "s3://"+bucket(t)+"/")
			change(c.Options)
			return open(t, c)
		}
	}
	ufstest.Run(t, ufstest.Suite{
		Tree:     true, // versitygw stores objects as files
		Cleans:   true,
		TextKeys: true,
		Many:     1001,
		Open:     func(t testing.TB) ufs.Store { return open(t, configure(url, "s3://"+bucket(t)+"/a prefix/of + two/")) },
		Missing:  func(t testing.TB) ufs.Store { return open(t, configure(url, "s3://no-such-bucket/")) },
		Denied:   denied,
	})
}
