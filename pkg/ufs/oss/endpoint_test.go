package oss

import (
	"errors"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestResolve(t *testing.T) {
	for _, test := range []struct {
		name    string
		bucket  string
		options map[string]string
		want    target
		kind    error
		message string
	}{
		{"public", "data", map[string]string{"fs.oss.endpoint": "oss-cn-shanghai.aliyuncs.com"}, target{"https://oss-cn-shanghai.aliyuncs.com", "cn-shanghai", false}, nil, ""},
		{"internal", "data", map[string]string{"fs.oss.endpoint": "oss-cn-shanghai-internal.aliyuncs.com"}, target{"https://oss-cn-shanghai-internal.aliyuncs.com", "cn-shanghai", false}, nil, ""},
		{"finance", "data", map[string]string{"fs.oss.endpoint": "oss-cn-shenzhen-finance-1-internal.aliyuncs.com"}, target{"https://oss-cn-shenzhen-finance-1-internal.aliyuncs.com", "cn-shenzhen-finance-1", false}, nil, ""},
		{"vpc", "data", map[string]string{"fs.oss.endpoint": "vpc100-oss-cn-beijing.aliyuncs.com"}, target{"https://vpc100-oss-cn-beijing.aliyuncs.com", "cn-beijing", false}, nil, ""},
		{"dual stack", "data", map[string]string{"fs.oss.endpoint": "cn-hongkong.oss.aliyuncs.com"}, target{"https://cn-hongkong.oss.aliyuncs.com", "cn-hongkong", false}, nil, ""},
		{"accelerated", "data", map[string]string{"fs.oss.endpoint": "oss-accelerate.aliyuncs.com"}, target{"https://oss-accelerate.aliyuncs.com", defaultRegion, false}, nil, ""},
		{"accelerated with region", "data", map[string]string{"fs.oss.endpoint": "oss-accelerate.aliyuncs.com", "fs.oss.region": "cn-beijing"}, target{"https://oss-accelerate.aliyuncs.com", "cn-beijing", false}, nil, ""},
		{"http", "data", map[string]string{"fs.oss.endpoint": "http://oss-cn-shanghai.aliyuncs.com/"}, target{"http://oss-cn-shanghai.aliyuncs.com", "cn-shanghai", false}, nil, ""},
		{"address", "data", map[string]string{"fs.oss.endpoint": "http://127.0.0.1:9900"}, target{"http://127.0.0.1:9900", defaultRegion, true}, nil, ""},
		{"address of six", "data", map[string]string{"fs.oss.endpoint": "http://[::1]:9900"}, target{"http://[::1]:9900", defaultRegion, true}, nil, ""},
		{"short name", "data", map[string]string{"fs.oss.endpoint": "http://localhost:9900"}, target{"http://localhost:9900", defaultRegion, true}, nil, ""},
		{"path style", "data", map[string]string{"fs.oss.endpoint": "oss.example.com", "fs.oss.pathStyle": "true"}, target{"https://oss.example.com", defaultRegion, true}, nil, ""},
		{"region only", "data", map[string]string{"fs.oss.region": "cn-hangzhou"}, target{"https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", false}, nil, ""},
		{"endpoint in the bucket", "data.oss-cn-hangzhou.aliyuncs.com", nil, target{"https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", false}, nil, ""},
		{"no endpoint", "data", nil, target{}, ufs.ErrInvalid, "fs.oss.endpoint is missing"},
		{"bad bucket", "Data_1", map[string]string{"fs.oss.endpoint": "x"}, target{}, ufs.ErrInvalid, "spec.mounts[].mountPoint"},
		{"no host", "data", map[string]string{"fs.oss.endpoint": "http://"}, target{}, ufs.ErrInvalid, "no host"},
		{"another scheme", "data", map[string]string{"fs.oss.endpoint": "ftp://x"}, target{}, ufs.ErrInvalid, "neither http nor https"},
		{"with bucket", "data", map[string]string{"fs.oss.endpoint": "https://x/data"}, target{}, ufs.ErrInvalid, "more than a host"},
		{"hdfs", "data", map[string]string{"fs.oss.endpoint": "cn-shanghai.oss-dls.aliyuncs.com"}, target{}, ufs.ErrUnsupported, "OSS-HDFS"},
		{"bad style", "data", map[string]string{"fs.oss.endpoint": "x", "fs.oss.pathStyle": "maybe"}, target{}, ufs.ErrInvalid, "fs.oss.pathStyle"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, got, err := resolve(ufs.Location{Scheme: "oss", Bucket: test.bucket}, test.options)
			if test.kind != nil {
				if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.message) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got != test.want || l.Bucket != "data" {
				t.Errorf("got %+v, %+v, %v, want %+v", l, got, err, test.want)
			}
		})
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("data", "oss-cn-hangzhou.aliyuncs.com", "", "")
	f.Add("data.oss-cn-hangzhou.aliyuncs.com", "", "", "auto")
	f.Add("data", "http://[::1]:99", "cn-beijing", "true")
	f.Add("x", "http://user@host/path?query#f", "\x00", "1")
	f.Fuzz(func(t *testing.T, bucket, endpoint, region, style string) {
		_, got, err := resolve(ufs.Location{Scheme: "oss", Bucket: bucket}, map[string]string{
			"fs.oss.endpoint": endpoint, "fs.oss.region": region, "fs.oss.pathStyle": style,
		})
		if err != nil {
			if !errors.Is(err, ufs.ErrInvalid) && !errors.Is(err, ufs.ErrUnsupported) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if got.region == "" || !strings.HasPrefix(got.endpoint, "http://") && !strings.HasPrefix(got.endpoint, "https://") {
			t.Errorf("resolved to %+v", got)
		}
	})
}
