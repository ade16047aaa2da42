package lister

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func pages(t *testing.T, b Bucket, query url.Values) (keys, prefixes []string, requests int) {
	t.Helper()
	for {
		requests++
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+b.Name+"?"+query.Encode(), nil))
		var p page
		if err := xml.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Contents {
			keys = append(keys, c.Key)
		}
		for _, c := range p.CommonPrefixes {
			prefixes = append(prefixes, c.Prefix)
		}
		if !p.IsTruncated {
			return keys, prefixes, requests
		}
		query.Set("continuation-token", p.NextContinuationToken)
	}
}

func TestListings(t *testing.T) {
	b := Bucket{Name: "b", Directories: 1500, Objects: 3, Size: 1}
	keys, prefixes, requests := pages(t, b, url.Values{"list-type": {"2"}})
	if len(keys) != 4500 || len(prefixes) != 0 || requests != 5 {
		t.Errorf("of 4500 keys, %d in %d pages, and %d prefixes", len(keys), requests, len(prefixes))
	}
	keys, prefixes, requests = pages(t, b, url.Values{"list-type": {"2"}, "delimiter": {"/"}})
	if len(keys) != 0 || len(prefixes) != 1500 || requests != 2 || prefixes[1499] != "d01499/" {
		t.Errorf("of 1500 directories, %d in %d pages, and %d keys", len(prefixes), requests, len(keys))
	}
	keys, _, _ = pages(t, b, url.Values{"delimiter": {"/"}, "prefix": {"d00007/"}})
	if len(keys) != 3 || !strings.HasPrefix(keys[0], "d00007/") {
		t.Errorf("the directory has %v", keys)
	}
	for key, status := range map[string]int{"d00001/object-000002.bin": 200, "d00001/object-000003.bin": 404, "x": 404} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/b/"+key, nil))
		if w.Code != status {
			t.Errorf("HEAD %s: %d, want %d", key, w.Code, status)
		}
	}
}
