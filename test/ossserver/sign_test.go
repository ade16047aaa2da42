package ossserver

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"
)

var clock = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// signed returns a request that the SDK's signer has signed.
func signed(t testing.TB, method, target, bucket, key string, change func(*signer.SigningContext)) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("x-oss-meta-note", "  a note ")
	region, product := "cn-hangzhou", "oss"
	signing := &signer.SigningContext{
		Product: &product, Region: &region, Request: r, Time: clock,
		Credentials: &credentials.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"},
	}
	if bucket != "" {
		signing.Bucket = &bucket
	}
	if key != "" {
		signing.Key = &key
	}
	if change != nil {
		change(signing)
	}
	if err := (&signer.SignerV4{}).Sign(context.Background(), signing); err != nil {
		t.Fatal(err)
	}
	return r
}

func server() *Server {
	return New(Config{AccessKeyID: "id", AccessKeySecret: "secret", Region: "cn-hangzhou", Now: func() time.Time { return clock.Add(time.Minute) }})
}

func authorised(s *Server, r *http.Request) error {
	c, err := s.parse(r)
	if err != nil {
		return err
	}
	return s.authorise(r, c)
}

func TestSignaturesOfTheSDK(t *testing.T) {
	for _, test := range []struct{ name, method, target, bucket, key string }{
		{"list buckets", "GET", "/", "", ""},
		{"bucket", "GET", "/data/", "data", ""},
		{"listing", "GET", "/data/?list-type=2&prefix=a%2Fb%20c%2B&delimiter=%2F&continuation-token=abc%3D%3D&encoding-type=url", "data", ""},
		{"flag", "GET", "/data/?bucketInfo", "data", ""},
		{"flag with equals", "POST", "/data/key?uploads=", "data", "key"},
		{"key", "GET", "/data/a/b", "data", "a/b"},
		{"odd key", "PUT", "/data/a%20b/%2B%25%E6%97%A5/%2F~", "data", "a b/+%日//~"},
		{"part", "PUT", "/data/k?partNumber=3&uploadId=0A", "data", "k"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := authorised(server(), signed(t, test.method, test.target, test.bucket, test.key, nil)); err != nil {
				t.Error(err)
			}
			additional := func(c *signer.SigningContext) {
				c.Request.Header.Set("Range", "bytes=0-1")
				c.AdditionalHeaders = []string{"range", "if-match"}
			}
			if err := authorised(server(), signed(t, test.method, test.target, test.bucket, test.key, additional)); err != nil {
				t.Errorf("with additional headers: %v", err)
			}
		})
	}
}

// TestTamperedRequests changes each part that a signature covers.
func TestTamperedRequests(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(*http.Request)
		code   string
	}{
		{"method", func(r *http.Request) { r.Method = "DELETE" }, "SignatureDoesNotMatch"},
		{"key", func(r *http.Request) { r.URL.Path = "/data/other" }, "SignatureDoesNotMatch"},
		{"bucket", func(r *http.Request) { r.URL.Path = "/other/key" }, "SignatureDoesNotMatch"},
		{"query", func(r *http.Request) { r.URL.RawQuery = "versionId=1" }, "SignatureDoesNotMatch"},
		{"content type", func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, "SignatureDoesNotMatch"},
		{"metadata", func(r *http.Request) { r.Header.Set("x-oss-meta-note", "other") }, "SignatureDoesNotMatch"},
		{"added header", func(r *http.Request) { r.Header.Set("x-oss-forbid-overwrite", "true") }, "SignatureDoesNotMatch"},
		{"additional header", func(r *http.Request) { r.Header.Set("Range", "bytes=2-3") }, "SignatureDoesNotMatch"},
		{"date", func(r *http.Request) { r.Header.Set("x-oss-date", "20260304T050608Z") }, "SignatureDoesNotMatch"},
		{"another day", func(r *http.Request) { r.Header.Set("x-oss-date", "20260305T050607Z") }, "AccessDenied"},
		{"no date", func(r *http.Request) { r.Header.Del("x-oss-date") }, "AccessDenied"},
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, "AccessDenied"},
		{"signature", func(r *http.Request) {
			h := r.Header.Get("Authorization")
			r.Header.Set("Authorization", h[:len(h)-1]+string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", h[len(h)-1])+1)%16]))
		}, "SignatureDoesNotMatch"},
		{"key id", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "=id/", "=other/", 1))
		}, "InvalidAccessKeyId"},
		{"region", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "cn-hangzhou", "cn-beijing", 1))
		}, "InvalidArgument"},
		{"token", func(r *http.Request) { r.Header.Set("x-oss-security-token", "t") }, "InvalidSecurityToken"},
		{"version 1", func(r *http.Request) { r.Header.Set("Authorization", "OSS id:signature") }, "InvalidArgument"},
		{"payload", func(r *http.Request) { r.Header.Set("x-oss-content-sha256", "other") }, "InvalidArgument"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := signed(t, "PUT", "/data/key", "data", "key", func(c *signer.SigningContext) {
				c.Request.Header.Set("Range", "bytes=0-1")
				c.AdditionalHeaders = []string{"range"}
			})
			if err := authorised(server(), r); err != nil {
				t.Fatalf("before: %v", err)
			}
			test.tamper(r)
			err := authorised(server(), r)
			if f, is := err.(*failure); !is || f.code != test.code { //nolint:errorlint // not wrapped
				t.Errorf("got %v, want %s", err, test.code)
			}
		})
	}
}

func TestSkewedClock(t *testing.T) {
	for skew, refused := range map[time.Duration]bool{
		14 * time.Minute: false, -14 * time.Minute: false, 16 * time.Minute: true, -16 * time.Minute: true,
	} {
		s := New(Config{AccessKeyID: "id", AccessKeySecret: "secret", Now: func() time.Time { return clock.Add(skew) }})
		err := authorised(s, signed(t, "GET", "/data/key", "data", "key", nil))
		f, is := err.(*failure) //nolint:errorlint // not wrapped
		if got := is && f.code == "RequestTimeTooSkewed"; got != refused {
			t.Errorf("skewed by %v: %v", skew, err)
		}
	}
}

func TestWrongKeyGetsAnXMLError(t *testing.T) {
	s := server()
	r := signed(t, "GET", "/data/key", "data", "key", func(c *signer.SigningContext) { c.Credentials.AccessKeySecret = "other" })
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	if w.Code != http.StatusForbidden || !strings.Contains(string(body), "<Code>SignatureDoesNotMatch</Code>") || w.Header().Get("x-oss-request-id") == "" {
		t.Errorf("%d %s", w.Code, body)
	}
	r = signed(t, "HEAD", "/data/key", "data", "key", func(c *signer.SigningContext) { c.Credentials.AccessKeySecret = "other" })
	w = httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || w.Body.Len() != 0 || w.Header().Get("x-oss-err") == "" {
		t.Errorf("to a HEAD: %d %s %v", w.Code, w.Body, w.Header())
	}
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add("OSS4-HMAC-SHA256 Credential=id/20260304/cn-hangzhou/oss/aliyun_v4_request,AdditionalHeaders=host;range,Signature=" + strings.Repeat("0f", 32))
	f.Add("OSS4-HMAC-SHA256 Credential=id/20260304/cn-hangzhou/oss/aliyun_v4_request, Signature=zz")
	f.Add("OSS4-HMAC-SHA256 ,,==,")
	f.Add("OSS id:sig")
	f.Add("")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			return
		}
		if a.accessKeyID == "" || len(a.signature) != 64 || !strings.HasPrefix(header, algorithm) {
			t.Errorf("%q was read as %+v", header, a)
		}
		// Signing with the parsed header must not panic.
		r := httptest.NewRequest(http.MethodGet, "/data/key", nil)
		_ = sign("secret", a, "20260304T050607Z", canonicalRequest(r, call{bucket: "data", key: "key"}, a.additional))
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("GET", "/data/key", "a=b", "bytes=0-1")
	f.Add("PUT", "/data/a%2Fb", "uploadId=1&partNumber=x", "")
	f.Add("POST", "/data/key", "uploads", "bytes=-5")
	f.Add("GET", "/data/", "list-type=2&max-keys=-1&continuation-token=MQ==", "")
	f.Add("HEAD", "/data//", "%zz", "bytes=9-0")
	f.Fuzz(func(t *testing.T, method, path, query, rangeHeader string) {
		r, err := http.NewRequest(http.MethodGet, "http://host/", strings.NewReader("<CompleteMultipartUpload/>"))
		if err != nil {
			t.Fatal(err)
		}
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header.Set("Range", rangeHeader)
		s := New(Config{})
		if err := s.CreateBucket("data"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put("data", "key", []byte("0123456789"), nil); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code < 200 || w.Code >= 300 && w.Code < 400 || w.Code == 500 {
			t.Errorf("%s %s?%s has the response %d %s", method, path, query, w.Code, w.Body)
		}
	})
}
