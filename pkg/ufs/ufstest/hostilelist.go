package ufstest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// pages returns pages in turn: the page of a request is named by its token.
func pages(all ...page) func(url.Values) page {
	return func(q url.Values) page {
		n, _ := strconv.Atoi(strings.TrimPrefix(q.Get("continuation-token"), "token-"))
		return all[min(n, len(all)-1)]
	}
}

// one is a page that is the whole listing.
func one(p page) func(*hostileStore) {
	return func(s *hostileStore) { s.list = func(url.Values) page { return p } }
}

func keyed(keys ...string) []listed {
	objects := make([]listed, len(keys))
	for i, key := range keys {
		objects[i] = listed{key: key}
	}
	return objects
}

// body returns a change that sends a body in response to every listing.
func body(status int, contentType, text string) func(*hostileStore) {
	return func(s *hostileStore) {
		s.respond = func(w http.ResponseWriter, r *http.Request) bool {
			if !r.URL.Query().Has("list-type") {
				return false
			}
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return true
		}
	}
}

func rewritten(from, to string) func(*hostileStore) {
	return func(s *hostileStore) {
		s.rewrite = func(document string) string { return strings.Replace(document, from, to, 1) }
	}
}

const goodListing = `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`

// listBehaviours list the top of the store.
func listBehaviours() []behaviour {
	whole := walk(top, hostileKey)
	bad := ufs.ErrUnavailable
	list := []behaviour{
		{name: "list: good", act: whole},
		{name: "list: truncated without a token", act: whole, kind: bad, change: one(page{objects: keyed("p/a"), truncated: true})},
		{name: "list: token does not advance", act: whole, kind: bad, change: one(page{objects: keyed("p/a"), truncated: true, token: "same"})},
		{name: "list: same page with new tokens", act: whole, kind: bad, change: func(s *hostileStore) {
			s.list = func(q url.Values) page {
				return page{objects: keyed("p/a"), truncated: true, token: q.Get("continuation-token") + "x"}
			}
		}},
		{name: "list: tokens repeat", act: whole, kind: bad, change: func(s *hostileStore) {
			s.list = pages(page{objects: keyed("p/a"), truncated: true, token: "token-1"}, page{objects: keyed("p/b"), truncated: true, token: "token-0"})
		}},
		{name: "list: empty pages without end", act: whole, kind: bad, change: func(s *hostileStore) {
			s.list = func(q url.Values) page {
				n, _ := strconv.Atoi(q.Get("continuation-token"))
				return page{truncated: true, token: strconv.Itoa(n + 1)}
			}
		}},
		{name: "list: an empty page", act: walk(top, "a", "b"), change: func(s *hostileStore) {
			s.list = pages(page{objects: keyed("p/a"), truncated: true, token: "token-1"}, page{truncated: true, token: "token-2"}, page{objects: keyed("p/b")})
		}},
		{name: "list: a token of 1 MiB", act: whole, kind: bad, change: one(page{objects: keyed("p/a"), truncated: true, token: strings.Repeat("t", 1<<20)})},
		{name: "list: an odd token", act: walk(top, "a", "b"), change: func(s *hostileStore) {
			s.list = func(q url.Values) page {
				if q.Get("continuation-token") == "ä &+%\"'<>/=\n" {
					return page{objects: keyed("p/b")}
				}
				return page{objects: keyed("p/a"), truncated: true, token: "ä &+%\"'<>/=\n"}
			}
		}},
		{name: "list: pages out of order", act: whole, kind: bad, change: func(s *hostileStore) {
			s.list = pages(page{objects: keyed("p/m"), truncated: true, token: "token-1"}, page{objects: keyed("p/a")})
		}},
		{name: "list: a key again on the next page", act: whole, kind: bad, change: func(s *hostileStore) {
			s.list = pages(page{objects: keyed("p/a", "p/b"), truncated: true, token: "token-1"}, page{objects: keyed("p/b", "p/c")})
		}},
		{name: "list: a prefix again on the next page", act: whole, kind: bad, change: func(s *hostileStore) {
			s.list = pages(page{prefixes: []string{"p/a/"}, truncated: true, token: "token-1"}, page{prefixes: []string{"p/a/"}})
		}},
		{name: "list: keys out of order", act: whole, kind: bad, change: one(page{objects: keyed("p/b", "p/a")})},
		{name: "list: prefixes out of order", act: whole, kind: bad, change: one(page{prefixes: []string{"p/b/", "p/a/"}})},
		{name: "list: a key twice", act: whole, kind: bad, change: one(page{objects: keyed("p/a", "p/a")})},
		{name: "list: start ignored", kind: bad, act: walk(ufs.ListOptions{StartAfter: "key0"}), change: one(page{objects: keyed("p/a")})},
		{name: "list: start within a prefix", act: walk(ufs.ListOptions{StartAfter: "a/b", Delimiter: "/"}, "a/"), change: one(page{prefixes: []string{"p/a/"}})},
		{name: "list: a key outside of the store", act: whole, kind: bad, change: one(page{objects: keyed("other/key")})},
		{name: "list: a key outside of the prefix", kind: bad, act: walk(ufs.ListOptions{Prefix: "dir/"}), change: one(page{objects: keyed("p/key")})},
		{name: "list: a prefix outside of the store", act: whole, kind: bad, change: one(page{prefixes: []string{"other/"}})},
		{name: "list: of another prefix", kind: bad, act: walk(ufs.ListOptions{Prefix: "dir/"}), change: one(page{prefix: "p/other/"})},
		{name: "list: a prefix without a slash", act: whole, kind: bad, change: one(page{prefixes: []string{"p/dir"}})},
		{name: "list: a prefix of two levels", act: whole, kind: bad, change: one(page{prefixes: []string{"p/a/b/"}})},
		{name: "list: delimiter ignored", act: whole, kind: bad, change: one(page{objects: keyed("p/dir/file")})},
		{name: "list: prefixes without a delimiter", act: walk(ufs.ListOptions{}), kind: bad, change: one(page{prefixes: []string{"p/dir/"}})},
		{name: "list: an empty key", act: whole, kind: bad, change: one(page{objects: keyed("-", "p/key")})},
		{name: "list: the store's prefix as a key", act: whole, change: one(page{objects: keyed("p/", "p/key")})},
		{name: "list: keys that are no paths", act: walk(ufs.ListOptions{}, ".", "..", "/", "//", "a/../b", "a//b", "nul\x00", "tab\t"), change: one(page{objects: keyed("p/.", "p/..", "p//", "p///", "p/a/../b", "p/a//b", "p/nul\x00", "p/tab\t")})},
		{name: "list: keys that are not UTF-8", act: walk(top, "a\xff", "sm\xf6rg"), change: one(page{objects: keyed("p/a\xff", "p/sm\xf6rg")})},
		{name: "list: bytes that are not UTF-8", act: whole, kind: bad, change: rewritten("p%2Fkey", "p%2Fkey\xf6")},
		{name: "list: encoding ignored", act: walk(top, "100%", "a+b", "c%20d"), change: one(page{objects: keyed("p/100%", "p/a+b", "p/c%20d"), plain: true})},
		{name: "list: invalid encoding", act: whole, kind: bad, change: rewritten("p%2Fkey", "p%2Fk%zzy")},
		{name: "list: unknown encoding", act: whole, kind: bad, change: rewritten("<EncodingType>url<", "<EncodingType>base64<")},
		{name: "list: a time before 1970", act: walk(top, "a"), change: one(page{objects: []listed{{key: "p/a", modified: "1900-01-01T00:00:00Z"}}})},
		{name: "list: no time", act: walk(top, "a"), change: one(page{objects: []listed{{key: "p/a", modified: "-"}}})},
		{name: "list: neither tag nor time", act: whole, kind: bad, change: one(page{objects: []listed{{key: "p/a", modified: "-", tag: "-"}}})},
		{name: "list: no tag", act: walk(top, "a"), change: one(page{objects: []listed{{key: "p/a", tag: "-"}}})},
		{name: "list: another root", act: whole, kind: bad, change: body(200, "application/xml", "<ListAllMyBucketsResult><IsTruncated>false</IsTruncated></ListAllMyBucketsResult>")},
		{name: "list: an error in a success", act: whole, kind: bad, change: body(200, "application/xml", "<Error><Code>NoSuchKey</Code></Error>")},
		{name: "list: throttled in a success", act: whole, kind: ufs.ErrThrottled, change: body(200, "application/xml", "<Error><Code>SlowDown</Code></Error>")},
		{name: "list: a web page", act: whole, kind: bad, change: body(200, "text/html", "<!DOCTYPE html><html><body>Welcome</body></html>")},
		{name: "list: JSON", act: whole, kind: bad, change: body(200, "application/json", `{"IsTruncated": false}`)},
		{name: "list: nothing", act: whole, kind: bad, change: body(200, "application/xml", "")},
		{name: "list: 204", act: whole, kind: bad, change: body(204, "application/xml", "")},
		{name: "list: two documents", act: whole, kind: bad, change: body(200, "application/xml", goodListing+goodListing[21:])},
		{name: "list: an incomplete document", act: whole, kind: bad, change: body(200, "application/xml", strings.TrimSuffix(goodListing, "</ListBucketResult>"))},
		{name: "list: IsTruncated is missing", act: whole, kind: bad, change: rewritten("<IsTruncated>false</IsTruncated>", "")},
		{name: "list: IsTruncated is missing, with a token", act: whole, kind: bad, change: rewritten("<IsTruncated>false</IsTruncated>", "<NextContinuationToken>t</NextContinuationToken>")},
		{name: "list: an empty document", act: whole, kind: bad, change: body(200, "application/xml", "<ListBucketResult></ListBucketResult>")},
		{name: "list: IsTruncated is neither", act: whole, kind: bad, change: rewritten("<IsTruncated>false<", "<IsTruncated>maybe<")},
		{name: "list: entities", act: whole, kind: bad, change: body(200, "application/xml", `<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>`+strings.Replace(goodListing[21:], "</List", "<Name>&b;</Name></List", 1))},
		{name: "list: deep elements", act: whole, kind: bad, change: body(200, "application/xml", "<ListBucketResult>"+strings.Repeat("<a>", 1<<20))},
		{name: "list: a name of 16 MiB", act: whole, kind: bad, change: body(200, "application/xml", "<ListBucketResult><Name>"+strings.Repeat("n", 16<<20)+"</Name></ListBucketResult>")},
		{name: "list: a body without end", act: whole, kind: bad, change: func(s *hostileStore) {
			s.respond = func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = io.WriteString(w, "<ListBucketResult>")
				flood(r.Context(), w, "<Contents><Key>p%2Fa</Key></Contents>")
				return true
			}
		}},
		{name: "list: drips", act: whole, kind: bad, slow: true, change: func(s *hostileStore) {
			s.respond = func(w http.ResponseWriter, r *http.Request) bool { drip(r.Context(), w, " "); return true }
		}},
		{name: "list: hangs", act: whole, kind: bad, slow: true, change: func(s *hostileStore) {
			s.respond = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
		}},
		{name: "list: shorter than its length", act: whole, kind: bad, change: func(s *hostileStore) {
			s.respond = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Length", fmt.Sprint(len(goodListing)+10))
				_, _ = io.WriteString(w, goodListing)
				panic(http.ErrAbortHandler)
			}
		}},
		{name: "list: compressed", act: whole, kind: bad, change: func(s *hostileStore) {
			s.respond = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Encoding", "gzip")
				return false
			}
		}},
		{name: "list: 304", act: whole, kind: bad, change: body(304, "", "")},
		{name: "list: 404 of a web page", act: whole, kind: bad, change: body(404, "text/html", "<html>default backend - 404</html>")},
		{name: "list: 404 NoSuchKey", act: whole, kind: bad, change: body(404, "application/xml", "<Error><Code>NoSuchKey</Code></Error>")},
		{name: "list: 412", act: whole, kind: bad, change: body(412, "application/xml", "<Error><Code>PreconditionFailed</Code></Error>")},
		{name: "list: 404 NoSuchBucket", act: whole, kind: ufs.ErrNoBucket, change: body(404, "application/xml", "<Error><Code>NoSuchBucket</Code></Error>")},
		{name: "list: 500 NoSuchBucket", act: whole, kind: bad, change: body(500, "application/xml", "<Error><Code>NoSuchBucket</Code></Error>")},
	}
	for _, size := range []string{"-", "-1", "9223372036854775808", "1.5", "0x10", "1e3", "ten", "+"} {
		list = append(list, behaviour{name: "list: the size " + size, act: whole, kind: bad, change: one(page{objects: []listed{{key: "p/a", size: size}}})})
	}
	for _, when := range []string{"yesterday", "2023-13-45T00:00:00Z", "1700000000", "Tue, 14 Nov 2023 22:13:20 GMT"} {
		list = append(list, behaviour{name: "list: the time " + when, act: whole, kind: bad, change: one(page{objects: []listed{{key: "p/a", modified: when}}})})
	}
	return list
}
