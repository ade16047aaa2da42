package ossserver

import (
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// contents holds the objects of a bucket. Keys are ordered by their bytes.
type contents interface {
	list(ctx context.Context, q query) (listing, error)
	// open returns an object with its bytes, or noKey.
	open(ctx context.Context, key string) (*object, error)
	// put stores size bytes; with forbid it fails if the key exists.
	put(ctx context.Context, key string, body io.Reader, size int64, meta map[string]string, forbid bool) (*object, error)
	// remove removes an object if it exists.
	remove(ctx context.Context, key string) error
}

// query describes one page of a listing.
type query struct {
	prefix, delimiter, startAfter string
	// continuation is listing.next of the previous page; empty to start.
	continuation string
	limit        int
}

// object is one version of an object.
type object struct {
	key      string
	size     int64
	etag     string
	modified time.Time
	meta     map[string]string
	crc      uint64
	hasCRC   bool
	// content is nil in listings. The caller must close it.
	content io.ReadSeekCloser
}

func (o *object) close() {
	if o.content != nil {
		_ = o.content.Close()
	}
}

// listing is one page.
type listing struct {
	objects  []*object
	prefixes []string
	// next continues the listing; empty when it is complete.
	next string
}

// bucket is contents with the settings and uploads of the bucket.
type bucket struct {
	contents
	name    string
	created time.Time

	mu         sync.Mutex
	versioning string
	uploads    map[string]*upload
}

// forbids reports whether a request must not overwrite. OSS ignores the header in
// versioned buckets.
func (b *bucket) forbids(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.versioning == "" && r.Header.Get("x-oss-forbid-overwrite") == "true"
}

// versioned adds the header of versioned buckets.
func (b *bucket) versioned(header http.Header, o *object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.versioning == "Enabled" {
		header.Set("x-oss-version-id", "CAEQ"+o.etag)
	}
}

type xmlBuckets struct {
	XMLName xml.Name    `xml:"ListAllMyBucketsResult"`
	Buckets []xmlBucket `xml:"Buckets>Bucket"`
}

type xmlBucket struct {
	Name         string `xml:"Name"`
	Location     string `xml:"Location"`
	CreationDate string `xml:"CreationDate"`
	Versioning   string `xml:"Versioning,omitempty"`
	StorageClass string `xml:"StorageClass"`
	Grant        string `xml:"AccessControlList>Grant,omitempty"`
}

func (s *Server) listBuckets(w *response) error {
	s.mu.Lock()
	buckets := make([]*bucket, 0, len(s.buckets))
	for _, b := range s.buckets {
		buckets = append(buckets, b)
	}
	s.mu.Unlock()
	var all xmlBuckets
	for _, b := range buckets {
		all.Buckets = append(all.Buckets, s.bucketInfo(b))
	}
	slices.SortFunc(all.Buckets, func(a, b xmlBucket) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return writeXML(w, all)
}

func (s *Server) bucketInfo(b *bucket) xmlBucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	return xmlBucket{
		Name: b.name, Location: "oss-" + s.config.Region, CreationDate: xmlTime(b.created),
		Versioning: b.versioning, StorageClass: "Standard", Grant: "private",
	}
}

// describe handles GetBucketInfo, GetBucketLocation and GetBucketVersioning.
func (s *Server) describe(w *response, b *bucket, c call) error {
	info := s.bucketInfo(b)
	switch c.kind {
	case GetBucketLocation:
		return writeXML(w, struct {
			XMLName  xml.Name `xml:"LocationConstraint"`
			Location string   `xml:",chardata"`
		}{Location: info.Location})
	case GetBucketVersioning:
		return writeXML(w, struct {
			XMLName xml.Name `xml:"VersioningConfiguration"`
			Status  string   `xml:"Status,omitempty"`
		}{Status: info.Versioning})
	default:
		return writeXML(w, struct {
			XMLName xml.Name  `xml:"BucketInfo"`
			Bucket  xmlBucket `xml:"Bucket"`
		}{Bucket: info})
	}
}

// xmlTime formats a date in a body.
func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
