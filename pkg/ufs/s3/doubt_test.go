package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// losing returns a respond that loses the response to the first request of a method,
// after it took effect, and fails the others.
func losing(method string, status int, code string) func(http.ResponseWriter, *http.Request) bool {
	lost := false
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method != method:
			return false
		case !lost:
			lost = true
			panic(http.ErrAbortHandler)
		}
		failure(w, status, code)
		return true
	}
}

// TestLostWithCondition checks that a conditional request whose response was lost is
// taken neither for a success nor for the work of another client: its retry finds what
// it has done itself.
func TestLostWithCondition(t *testing.T) {
	for name, do := range map[string]struct {
		method string
		status int
		code   string
		do     func(ufs.Store) error
	}{
		"deleted, and another version": {http.MethodDelete, 412, "PreconditionFailed", func(s ufs.Store) error {
			return s.Delete(t.Context(), "key", ufs.Conditions{IfMatch: "tag"})
		}},
		"deleted": {http.MethodDelete, 404, "NoSuchKey", func(s ufs.Store) error {
			return s.Delete(t.Context(), "key", ufs.Conditions{IfMatch: "tag"})
		}},
		"joined": {http.MethodPost, 404, "NoSuchUpload", func(s ufs.Store) error {
			_, err := s.CompleteMultipart(t.Context(), "key", "upload", []ufs.Part{{Number: 1, ETag: "part", Size: 1}}, ufs.Conditions{IfNoneMatch: true})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, &simple{respond: losing(do.method, do.status, do.code)})
			c.Options["fs.s3.conditions"] = "all"
			err := do.do(open(t, c))
			if !errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrPrecondition) || errors.Is(err, ufs.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLongestKey checks that a key of 1024 bytes, the prefix of the store included,
// which Amazon's S3 holds and lists, can be read.
func TestLongestKey(t *testing.T) {
	key := strings.Repeat("k", 1024-len("p/"))
	c := serve(t, &simple{objects: map[string]string{"/data/p/" + key: "content"}})
	c.Location.Prefix = "p/"
	store := open(t, c)
	if o, err := store.Stat(t.Context(), key); err != nil || o.Size != 7 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := store.Stat(t.Context(), key+"k"); !errors.Is(err, ufs.ErrInvalidKey) {
		t.Errorf("a longer key: %v", err)
	}
}
