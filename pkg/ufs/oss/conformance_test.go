package oss_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/oss"
	"github.com/jindo-io/jindo/pkg/ufs/ufstest"
	"github.com/jindo-io/jindo/test/ossserver"
)

const (
	keyID     = "test-id"
	keySecret = "test-secret"
)

// serve starts a server with a bucket called test-bucket.
func serve(t testing.TB) (*ossserver.Server, string) {
	t.Helper()
	server := ossserver.New(ossserver.Config{AccessKeyID: keyID, AccessKeySecret: keySecret, Region: "cn-hangzhou"})
	if err := server.CreateBucket("test-bucket"); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return server, listener.URL
}

// configure returns the configuration of a bucket at an endpoint.
func configure(endpoint, uri string) oss.Config {
	location, err := ufs.ParseLocation(uri)
	if err != nil {
		panic(err)
	}
	return oss.Config{Location: location, Options: map[string]string{
		"fs.oss.endpoint": endpoint, "fs.oss.accessKeyId": keyID, "fs.oss.accessKeySecret": keySecret,
	}}
}

func open(t testing.TB, c oss.Config) *oss.Store {
	t.Helper()
	store, err := oss.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestConformance(t *testing.T) {
	denied := map[string]func(t testing.TB) ufs.Store{}
	for name, change := range map[string]func(map[string]string){
		"key id":    func(o map[string]string) { o["fs.oss.accessKeyId"] = "other" },
		"secret":    func(o map[string]string) { o["fs.oss.accessKeySecret"] = "other" },
		"token":     func(o map[string]string) { o["fs.oss.securityToken"] = "other" },
		"anonymous": func(o map[string]string) { delete(o, "fs.oss.accessKeyId"); delete(o, "fs.oss.accessKeySecret") },
	} {
		denied[name] = func(t testing.TB) ufs.Store {
			_, url := serve(t)
			c := configure(url, "oss://test-bucket/")
			change(c.Options)
			return open(t, c)
		}
	}
	for prefix, many := range map[string]int{"": 0, "a prefix/of + two/": 1001} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			ufstest.Run(t, ufstest.Suite{
				Many: many,
				Open: func(t testing.TB) ufs.Store {
					_, url := serve(t)
					return open(t, configure(url, "oss://test-bucket/"+prefix))
				},
				Missing: func(t testing.TB) ufs.Store {
					_, url := serve(t)
					return open(t, configure(url, "oss://other-bucket/"+prefix))
				},
				Denied: denied,
			})
		})
	}
}

// TestConformanceOfDirectory runs the suite on a directory that the test server
// serves.
func TestConformanceOfDirectory(t *testing.T) {
	ufstest.Run(t, ufstest.Suite{
		Tree: true,
		Many: 1001,
		Open: func(t testing.TB) ufs.Store {
			server, url := serve(t)
			if err := server.ServeDirectory("files", t.TempDir()); err != nil {
				t.Fatal(err)
			}
			return open(t, configure(url, "oss://files/"))
		},
	})
}

// TestConformanceReal runs the suite against Alibaba Cloud, below a prefix of its
// own, which it empties.
func TestConformanceReal(t *testing.T) {
	endpoint, bucket := os.Getenv("OSS_ENDPOINT"), os.Getenv("OSS_BUCKET")
	id, secret := os.Getenv("OSS_ACCESS_KEY_ID"), os.Getenv("OSS_ACCESS_KEY_SECRET")
	if endpoint == "" || bucket == "" || id == "" || secret == "" {
		t.Skip("not run: needs OSS_ENDPOINT, OSS_BUCKET, OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET")
	}
	options := map[string]string{
		"fs.oss.endpoint": endpoint, "fs.oss.accessKeyId": id, "fs.oss.accessKeySecret": secret,
		"fs.oss.region": os.Getenv("OSS_REGION"), "fs.oss.securityToken": os.Getenv("OSS_SECURITY_TOKEN"),
	}
	count := 0
	ufstest.Run(t, ufstest.Suite{
		Many: 1100,
		Open: func(t testing.TB) ufs.Store {
			count++
			uri := fmt.Sprintf("oss://%s/jindo-conformance-%d/%d/", bucket, time.Now().UnixNano(), count)
			location, err := ufs.ParseLocation(uri)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { empty(t, open(t, oss.Config{Location: location, Options: options})) })
			return open(t, oss.Config{Location: location, Options: options})
		},
	})
}

func empty(t testing.TB, store ufs.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for {
		page, err := store.List(ctx, ufs.ListOptions{})
		if err != nil {
			t.Errorf("emptying %s: %v", store, err)
			return
		}
		for _, o := range page.Objects {
			if err := store.Delete(ctx, o.Key, ufs.Conditions{}); err != nil && !strings.Contains(err.Error(), "not found") {
				t.Errorf("emptying %s: %v", store, err)
			}
		}
		if page.Next == "" {
			return
		}
	}
}
