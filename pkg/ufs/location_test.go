package ufs_test

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestParseLocation(t *testing.T) {
	for _, test := range []struct {
		uri    string
		want   ufs.Location
		prints string
	}{
		{"oss://bucket", ufs.Location{Scheme: "oss", Bucket: "bucket"}, "oss://bucket/"},
		{"oss://bucket/", ufs.Location{Scheme: "oss", Bucket: "bucket"}, "oss://bucket/"},
		{"OSS://bucket/a/b", ufs.Location{Scheme: "oss", Bucket: "bucket", Prefix: "a/b/"}, "oss://bucket/a/b/"},
		{"s3://bucket.with.dots/a%20b/", ufs.Location{Scheme: "s3", Bucket: "bucket.with.dots", Prefix: "a%20b/"}, "s3://bucket.with.dots/a%20b/"},
		{"oss://bucket//a", ufs.Location{Scheme: "oss", Bucket: "bucket", Prefix: "a/"}, "oss://bucket/a/"},
		{"file:///data", ufs.Location{Scheme: "file", Dir: "/data"}, "file:///data/"},
		{"local:///data/../x//y/", ufs.Location{Scheme: "local", Dir: "/x/y"}, "local:///x/y/"},
		{"local:///", ufs.Location{Scheme: "local", Dir: "/"}, "local:///"},
	} {
		got, err := ufs.ParseLocation(test.uri)
		if err != nil || got != test.want || got.String() != test.prints {
			t.Errorf("%s: %+v (%s), %v", test.uri, got, got, err)
		}
	}
	for _, uri := range []string{"", "bucket", "://bucket", "oss://", "oss:///a", "oss://bu cket", "oss://../a", "file://data", "file://", "oss://b/\x00", "oss://b/\xff", "oss://a:b@c/"} {
		if got, err := ufs.ParseLocation(uri); !errors.Is(err, ufs.ErrInvalid) {
			t.Errorf("%q: %+v, %v", uri, got, err)
		}
	}
}

func FuzzParseLocation(f *testing.F) {
	for _, seed := range []string{"oss://bucket/prefix/", "file:///a/../b", "s3://b//c", "local://", "x://y", "://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := ufs.ParseLocation(uri)
		if err != nil {
			if !errors.Is(err, ufs.ErrInvalid) {
				t.Errorf("%q: an error of no kind: %v", uri, err)
			}
			return
		}
		if (got.Dir == "") == (got.Bucket == "") || got.Dir != "" && (path.Clean(got.Dir) != got.Dir || got.Dir[0] != '/') {
			t.Errorf("%q became %+v", uri, got)
		}
		if got.Prefix != "" && (!strings.HasSuffix(got.Prefix, "/") || got.Prefix[0] == '/') {
			t.Errorf("%q has the prefix %q", uri, got.Prefix)
		}
		again, err := ufs.ParseLocation(got.String())
		if err != nil || again != got {
			t.Errorf("%q prints as %q, which is %+v, %v", uri, got, again, err)
		}
	})
}

func TestClampRange(t *testing.T) {
	for _, test := range []struct {
		r    ufs.Range
		size int64
		want int64
		kind error
	}{
		{ufs.Whole, 10, 10, nil},
		{ufs.Whole, 0, 0, nil},
		{ufs.Range{Offset: 3, Length: 4}, 10, 4, nil},
		{ufs.Range{Offset: 3, Length: 1<<63 - 1}, 10, 7, nil},
		{ufs.Range{Offset: 99, Length: 0}, 10, 0, nil},
		{ufs.Range{Offset: 10, Length: 1}, 10, 0, ufs.ErrInvalidRange},
		{ufs.Range{Offset: 1, Length: 1}, 0, 0, ufs.ErrInvalidRange},
		{ufs.Range{Offset: -1, Length: 1}, 10, 0, ufs.ErrInvalid},
		{ufs.Range{Offset: 0, Length: -2}, 10, 0, ufs.ErrInvalid},
	} {
		if got, err := ufs.ClampRange(test.r, test.size); got != test.want || !errors.Is(err, test.kind) {
			t.Errorf("%+v of %d: %d, %v", test.r, test.size, got, err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"a", "a//b", "../a", "日本", "a\xff", strings.Repeat("x", 1000)} {
		if err := ufs.CheckKey("prefix/", key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", "/a", "a\x00", strings.Repeat("x", 1020)} {
		if err := ufs.CheckKey("prefix/", key); !errors.Is(err, ufs.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if !errors.Is(ufs.ErrNoBucket, ufs.ErrNotFound) {
		t.Error("a missing bucket is not a missing anything")
	}
}
