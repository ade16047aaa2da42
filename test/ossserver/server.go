// Package ossserver is an object store with the protocol of Alibaba OSS as its Go
// SDK v2 uses it, for tests and the demo: V4 signatures, listings, ranges,
// conditions, multipart uploads, copies, user metadata, path style and virtual
// hosts. It holds buckets in memory or serves a directory. It can fail, delay,
// throttle and cut its responses on request, and counts requests.
//
// It follows the SDK's and OSS's documentation, and is strict where clients make
// mistakes (signatures, dates, ranges, encodings). It has only what this project
// uses: no ACLs, no old versions, no lifecycle.
package ossserver

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config configures a Server. The zero value of every field is valid.
type Config struct {
	// AccessKeyID and AccessKeySecret that sign requests; SetKeys sets several.
	// Without keys, requests need no signature.
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken that requests with the key must contain, if not empty.
	SecurityToken string
	// Region that signatures must name; empty accepts any.
	Region string
	// Host of the endpoint, without port: "oss.test". A request to a host below
	// it is in virtual host style, every other in path style.
	Host string
	// Now is the clock for the check of signatures; nil is time.Now.
	Now func() time.Time
	// Logger receives a debug line for each request; nil discards them.
	Logger *slog.Logger
}

// Key is one access key.
type Key struct {
	Secret string
	// Token that requests must contain; empty for a permanent key.
	Token string
	// Deny lists the kinds of requests that this key has no right to.
	Deny []Kind
}

// Server is an http.Handler that serves OSS requests. All methods may be called
// concurrently.
type Server struct {
	config Config
	logger *slog.Logger
	now    func() time.Time
	counts counts

	mu      sync.Mutex
	keys    map[string]Key
	buckets map[string]*bucket
	fault   func(Request) *Fault
}

var _ http.Handler = (*Server)(nil)

// New returns a server without buckets.
func New(config Config) *Server {
	s := &Server{
		config: config, logger: config.Logger, now: config.Now,
		keys: map[string]Key{}, buckets: map[string]*bucket{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if config.AccessKeyID != "" {
		s.keys[config.AccessKeyID] = Key{Secret: config.AccessKeySecret, Token: config.SecurityToken}
	}
	return s
}

// SetKeys replaces the access keys, by id. Requests signed with others are refused.
func (s *Server) SetKeys(keys map[string]Key) {
	copied := make(map[string]Key, len(keys))
	for id, key := range keys {
		copied[id] = key
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = copied
}

// CreateBucket creates an empty bucket in memory.
func (s *Server) CreateBucket(name string) error {
	return s.add(name, newMemory(s.now))
}

// ServeDirectory makes a directory a bucket: each file below it is an object, read
// and written in place. Its tag is the MD5 of its bytes, computed when it is first
// needed, and again when the file has changed.
func (s *Server) ServeDirectory(name, dir string) error {
	content, err := newDirectory(dir)
	if err != nil {
		return fmt.Errorf("serve %s as bucket %s: %w", dir, name, err)
	}
	return s.add(name, content)
}

func (s *Server) add(name string, c contents) error {
	if !validBucket(name) {
		return fmt.Errorf("invalid bucket name %q: must have 3 to 63 of a-z, 0-9 and -", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return fmt.Errorf("bucket %s exists", name)
	}
	s.buckets[name] = &bucket{name: name, contents: c, created: s.now(), uploads: map[string]*upload{}}
	return nil
}

// DeleteBucket removes a bucket; the files of a directory are kept.
func (s *Server) DeleteBucket(name string) {
	s.mu.Lock()
	b := s.buckets[name]
	delete(s.buckets, name)
	s.mu.Unlock()
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.uploads {
		b.forget(id)
	}
}

// SetVersioning sets the versioning of a bucket to "Enabled" or "Suspended", which
// makes it ignore x-oss-forbid-overwrite, as OSS does. Old versions are not kept.
func (s *Server) SetVersioning(name, status string) error {
	b, err := s.bucket(name)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.versioning = status
	return nil
}

func (s *Server) bucket(name string) (*bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return nil, noBucket(name)
	}
	return b, nil
}

func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ServeHTTP handles one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newRequestID()
	w.Header().Set("Server", "AliyunOSS")
	w.Header().Set("x-oss-request-id", id)
	call, err := s.parse(r)
	call.id = id
	done := s.counts.begin(call.kind)
	out := &response{ResponseWriter: w, counts: &s.counts, kind: call.kind, ctx: r.Context()}
	defer func() {
		done(out.status)
		s.logger.Debug("request", "kind", call.kind, "bucket", call.bucket, "key", call.key, "range", r.Header.Get("Range"), "status", out.status, "bytes", out.written)
	}()
	if err == nil && s.interfere(out, r, call) {
		return
	}
	if err == nil {
		err = s.authorise(r, call)
	}
	if err == nil {
		err = s.serve(out, r, call)
	}
	if err != nil {
		writeError(out, r, call, err)
	}
}

func newRequestID() string {
	raw := make([]byte, 12)
	_, _ = rand.Read(raw)
	return strings.ToUpper(hex.EncodeToString(raw))
}
