package ossserver

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"hash/crc64"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// memory holds objects in memory. An open object keeps its bytes when it is replaced.
type memory struct {
	now func() time.Time

	mu      sync.Mutex
	objects map[string]*stored
	keys    []string // sorted
}

type stored struct {
	object
	data []byte
}

var _ contents = (*memory)(nil)

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, objects: map[string]*stored{}}
}

func (m *memory) list(_ context.Context, q query) (listing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page listing
	last := ""
	i := m.seek(q)
	for i < len(m.keys) && strings.HasPrefix(m.keys[i], q.prefix) {
		if len(page.objects)+len(page.prefixes) == q.limit {
			page.next = last
			return page, nil
		}
		key := m.keys[i]
		rolled := rollUp(key, q.prefix, q.delimiter)
		if rolled == "" {
			o := m.objects[key].object
			page.objects = append(page.objects, &o)
			last = "k" + key
			i++
			continue
		}
		page.prefixes = append(page.prefixes, rolled)
		last = "p" + rolled
		i = m.past(rolled)
	}
	return page, nil
}

// seek returns the index of the first key of a page.
func (m *memory) seek(q query) int {
	i, _ := slices.BinarySearch(m.keys, q.prefix)
	switch {
	case strings.HasPrefix(q.continuation, "p"):
		return max(i, m.past(q.continuation[1:]))
	case strings.HasPrefix(q.continuation, "k"):
		return max(i, m.after(q.continuation[1:]))
	case q.startAfter != "":
		return max(i, m.after(q.startAfter))
	}
	return i
}

// after returns the index of the first key after another.
func (m *memory) after(key string) int {
	i, found := slices.BinarySearch(m.keys, key)
	if found {
		i++
	}
	return i
}

// past returns the index of the first key after all with a prefix: UTF-8 never
// contains 0xff.
func (m *memory) past(prefix string) int {
	i, _ := slices.BinarySearch(m.keys, prefix+"\xff")
	return i
}

// rollUp returns the common prefix of a key, or "".
func rollUp(key, prefix, delimiter string) string {
	if delimiter == "" {
		return ""
	}
	if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
		return key[:len(prefix)+i+len(delimiter)]
	}
	return ""
}

func (m *memory) open(_ context.Context, key string) (*object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.objects[key]
	if s == nil {
		return nil, noKey()
	}
	o := s.object
	o.content = nopCloser{bytes.NewReader(s.data)}
	return &o, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func (m *memory) put(ctx context.Context, key string, body io.Reader, size int64, meta map[string]string, forbid bool) (*object, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, fail(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly.")
	}
	sum := md5.Sum(data)
	s := &stored{data: data, object: object{
		key: key, size: size, etag: strings.ToUpper(hex.EncodeToString(sum[:])), meta: meta,
		crc: crc64.Checksum(data, crc64.MakeTable(crc64.ECMA)), hasCRC: true,
	}}
	if etag := tagOf(ctx); etag != "" {
		s.etag = etag
	}
	return m.keep(s, forbid)
}

func (m *memory) keep(s *stored, forbid bool) (*object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[s.key] != nil && forbid {
		return nil, exists()
	}
	s.modified = m.now().UTC().Truncate(time.Second)
	if m.objects[s.key] == nil {
		i, _ := slices.BinarySearch(m.keys, s.key)
		m.keys = slices.Insert(m.keys, i, s.key)
	}
	m.objects[s.key] = s
	o := s.object
	return &o, nil
}

func exists() error {
	return &failure{status: http.StatusConflict, code: "FileAlreadyExists", message: "The object you specified already exists and can not be overwritten.", ec: "0026-00000107"}
}

func (m *memory) remove(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[key] == nil {
		return nil
	}
	delete(m.objects, key)
	if i, found := slices.BinarySearch(m.keys, key); found {
		m.keys = slices.Delete(m.keys, i, i+1)
	}
	return nil
}
