// Package lister is an S3 server whose buckets exist only as listings: a number of
// directories with a number of objects each, which it computes page by page. Real
// servers over a directory read it again for each page, so that a million keys
// measure the server.
package lister

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Bucket describes the objects of the bucket: Directories of the names d00000/,
// d00001/ and so on, with Objects each. Every object has Size bytes.
type Bucket struct {
	Name        string
	Directories int
	Objects     int
	Size        int64
}

// pageSize is the number of entries of a page, which S3 bounds.
const pageSize = 1000

// modified is when every object was written.
var modified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// etag is that of every object; its content does not matter.
const etag = `"0123456789abcdef0123456789abcdef"`

var _ http.Handler = Bucket{}

// key returns the i-th key in the order of a listing.
func (b Bucket) key(i int) string {
	return fmt.Sprintf("d%05d/object-%06d.bin", i/b.Objects, i%b.Objects)
}

func (b Bucket) count() int { return b.Directories * b.Objects }

// after returns the index of the first key that is greater than a string.
func (b Bucket) after(s string) int {
	return sort.Search(b.count(), func(i int) bool { return b.key(i) > s })
}

// ServeHTTP implements http.Handler. Signatures are not checked.
func (b Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case name != b.Name:
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	case key == "" && r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
	case key == "" && r.URL.Query().Has("location"):
		reply(w, struct {
			XMLName xml.Name `xml:"LocationConstraint"`
		}{})
	case key == "":
		b.list(w, r)
	case !b.exists(key):
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		b.object(w, r)
	}
}

func (b Bucket) exists(key string) bool {
	i := sort.Search(b.count(), func(i int) bool { return b.key(i) >= key })
	return i < b.count() && b.key(i) == key
}

func (b Bucket) object(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", etag)
	w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.FormatInt(b.Size, 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.Method != http.MethodHead {
		_, _ = w.Write(make([]byte, b.Size)) // the client has gone
	}
}

type page struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              int
	IsTruncated           bool
	NextMarker            string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []content
	CommonPrefixes        []commonPrefix
}

type content struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
}

type commonPrefix struct{ Prefix string }

// list serves a page of ListObjects, version 1 or 2.
func (b Bucket) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	p := page{Name: b.Name, Prefix: query.Get("prefix"), Delimiter: query.Get("delimiter"), MaxKeys: pageSize}
	if n, err := strconv.Atoi(query.Get("max-keys")); err == nil && n < pageSize {
		p.MaxKeys = n
	}
	start := query.Get("continuation-token")
	for _, other := range []string{query.Get("start-after"), query.Get("marker")} {
		start = max(start, other)
	}
	b.fill(&p, start)
	reply(w, p)
}

// fill adds the entries after start.
func (b Bucket) fill(p *page, start string) {
	i := sort.Search(b.count(), func(i int) bool { return b.key(i) >= p.Prefix })
	i = max(i, b.after(start))
	last := start
	for i < b.count() && strings.HasPrefix(b.key(i), p.Prefix) {
		if len(p.Contents)+len(p.CommonPrefixes) >= p.MaxKeys {
			p.IsTruncated, p.NextMarker, p.NextContinuationToken = true, last, last
			break
		}
		key := b.key(i)
		if end := strings.Index(key[len(p.Prefix):], p.Delimiter); p.Delimiter != "" && end >= 0 {
			common := key[:len(p.Prefix)+end+len(p.Delimiter)]
			// The end of a prefix comes after every key that it has.
			last = common + "\U0010ffff"
			if common+"\U0010ffff" > start {
				p.CommonPrefixes = append(p.CommonPrefixes, commonPrefix{common})
			}
			i = b.after(last)
			continue
		}
		p.Contents = append(p.Contents, content{Key: key, LastModified: modified.Format(time.RFC3339), ETag: etag, Size: b.Size, StorageClass: "STANDARD"})
		last = key
		i++
	}
	p.KeyCount = len(p.Contents) + len(p.CommonPrefixes)
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write([]byte(xml.Header))
	_ = xml.NewEncoder(w).Encode(body) // the client has gone
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message></Error>", xml.Header, code, code)
}
