package drivers_test

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/oss"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/s3"
	"github.com/jindo-io/jindo/pkg/ufs/ufstest"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

func TestHostileStores(t *testing.T) {
	ufstest.RunHostile(t, map[string]ufstest.Opener{
		"oss": func(t testing.TB, endpoint string, policy retry.Policy, limits wire.Limits) ufs.Store {
			store, err := oss.Open(oss.Config{
				Location: ufs.Location{Scheme: "oss", Bucket: "data", Prefix: "p/"}, Retry: policy, Limits: limits,
				Options: map[string]string{"fs.oss.endpoint": endpoint, "fs.oss.accessKeyId": "id", "fs.oss.accessKeySecret": "secret"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return store
		},
		"s3": func(t testing.TB, endpoint string, policy retry.Policy, limits wire.Limits) ufs.Store {
			store, err := s3.Open(s3.Config{
				Location: ufs.Location{Scheme: "s3", Bucket: "data", Prefix: "p/"}, Retry: policy, Limits: limits,
				Options: map[string]string{"fs.s3.endpoint": endpoint, "fs.s3.accessKeyId": "id", "fs.s3.accessKeySecret": "secret"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return store
		},
	})
}
