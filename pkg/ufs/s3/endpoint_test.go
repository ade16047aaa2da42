package s3

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
		message string
	}{
		{"region", "data", map[string]string{"fs.s3.region": "eu-west-1"}, target{"", "eu-west-1", false, true, "auto"}, ""},
		{"amazon", "data", map[string]string{"fs.s3.endpoint": "s3.us-west-2.amazonaws.com"}, target{"https://s3.us-west-2.amazonaws.com", "us-west-2", false, true, "auto"}, ""},
		{"amazon with a dash", "data", map[string]string{"fs.s3.endpoint": "s3-us-west-2.amazonaws.com"}, target{"https://s3-us-west-2.amazonaws.com", "us-west-2", false, true, "auto"}, ""},
		{"amazon global", "data", map[string]string{"fs.s3.endpoint": "s3.amazonaws.com"}, target{"https://s3.amazonaws.com", "us-east-1", false, true, "auto"}, ""},
		{"amazon in China", "data", map[string]string{"fs.s3.endpoint": "s3.cn-north-1.amazonaws.com.cn"}, target{"https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", false, true, "auto"}, ""},
		{"a dotted bucket", "da.ta", map[string]string{"fs.s3.region": "eu-west-1"}, target{"", "eu-west-1", true, true, "auto"}, ""},
		{"custom", "data", map[string]string{"fs.s3.endpoint": "http://127.0.0.1:9000"}, target{"http://127.0.0.1:9000", "us-east-1", true, false, "auto"}, ""},
		{"custom with region", "data", map[string]string{"fs.s3.endpoint": "minio.example.com", "fs.s3.region": "lab"}, target{"https://minio.example.com", "lab", true, false, "auto"}, ""},
		{"custom virtual host", "data", map[string]string{"fs.s3.endpoint": "minio.example.com", "fs.s3.pathStyle": "false"}, target{"https://minio.example.com", "us-east-1", false, false, "auto"}, ""},
		{"conditions", "data", map[string]string{"fs.s3.endpoint": "x", "fs.s3.conditions": "none"}, target{"https://x", "us-east-1", true, false, "none"}, ""},
		{"looks like amazon", "data", map[string]string{"fs.s3.endpoint": "s3.amazonaws.com.evil.test"}, target{"https://s3.amazonaws.com.evil.test", "us-east-1", true, false, "auto"}, ""},
		{"neither", "data", nil, target{}, "fs.s3.endpoint and fs.s3.region"},
		{"no host", "data", map[string]string{"fs.s3.endpoint": "https://"}, target{}, "no host"},
		{"scheme", "data", map[string]string{"fs.s3.endpoint": "s3://x"}, target{}, "neither http nor https"},
		{"path", "data", map[string]string{"fs.s3.endpoint": "x/data"}, target{}, "more than a host"},
		{"style", "data", map[string]string{"fs.s3.endpoint": "x", "fs.s3.pathStyle": "maybe"}, target{}, "fs.s3.pathStyle"},
		{"bad conditions", "data", map[string]string{"fs.s3.endpoint": "x", "fs.s3.conditions": "some"}, target{}, "fs.s3.conditions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := resolve(ufs.Location{Scheme: "s3", Bucket: test.bucket}, test.options)
			if test.message != "" {
				if !errors.Is(err, ufs.ErrInvalid) || !strings.Contains(err.Error(), test.message) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("data", "s3.eu-west-1.amazonaws.com", "", "", "")
	f.Add("da.ta", "http://[::1]:9000", "lab", "true", "all")
	f.Add("data", "", "", "", "")
	f.Add("data", "://", "x", "y", "z")
	f.Fuzz(func(t *testing.T, bucket, endpoint, region, style, conditions string) {
		got, err := resolve(ufs.Location{Scheme: "s3", Bucket: bucket}, map[string]string{
			"fs.s3.endpoint": endpoint, "fs.s3.region": region, "fs.s3.pathStyle": style, "fs.s3.conditions": conditions,
		})
		if err != nil {
			if !errors.Is(err, ufs.ErrInvalid) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if got.region == "" || got.conditions == "" || got.endpoint == "" && !got.amazon {
			t.Errorf("resolved to %+v", got)
		}
	})
}
