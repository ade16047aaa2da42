package reader

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// gateway is an S3 store of a few objects with the habits of gateways and proxies.
type gateway struct {
	objects map[string]string
	mu      sync.Mutex
	// tag is sent for every object. It is guarded by mu once the gateway serves: a
	// worker continues a listing after a lookup.
	tag string
	// limit ends a listing after as many names, truncated and without a token; 0
	// is no limit.
	limit int
}

func (g *gateway) currentTag() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tag
}

// replace changes the tag of every object.
func (g *gateway) replace(tag string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tag = tag
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amz-request-id", "r")
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/bucket"), "/")
	if key == "" {
		g.list(w, r.URL.Query().Get("prefix"), r.URL.Query().Get("delimiter"))
		return
	}
	body, ok := g.objects[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<Error><Code>NoSuchKey</Code></Error>"))
		return
	}
	tag := g.currentTag()
	w.Header().Set("ETag", tag)
	// Unlike this, net/http ignores a condition that is malformed.
	if sent, has := r.Header["If-Match"]; has && (strings.HasPrefix(tag, "W/") || sent[0] != tag) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	r.Header.Del("If-Match")
	http.ServeContent(w, r, key, time.Unix(1700000000, 0), strings.NewReader(body))
}

func (g *gateway) list(w http.ResponseWriter, prefix, delimiter string) {
	type object struct {
		Key, ETag, LastModified string
		Size                    int
	}
	type common struct{ Prefix string }
	out := struct {
		XMLName        xml.Name `xml:"ListBucketResult"`
		IsTruncated    bool
		Contents       []object
		CommonPrefixes []common
	}{}
	keys := make([]string, 0, len(g.objects))
	for key := range g.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	tag := g.currentTag()
	for _, key := range keys {
		below, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if g.limit > 0 && len(out.Contents) == g.limit {
			out.IsTruncated = true
			break
		}
		if head, _, deeper := strings.Cut(below, "/"); deeper && delimiter == "/" {
			if p := (common{prefix + head + "/"}); !slices.Contains(out.CommonPrefixes, p) {
				out.CommonPrefixes = append(out.CommonPrefixes, p)
			}
			continue
		}
		out.Contents = append(out.Contents, object{key, tag, "2023-11-14T22:13:20Z", len(g.objects[key])})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}

// newGateway starts workers that mount the gateway.
func newGateway(t *testing.T, g *gateway) *real {
	t.Helper()
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return newRealOf(t, 2, func(f *real) {
		f.view.Mounts[0].Uri = "s3://bucket/"
		f.view.Mounts[0].Options = map[string]string{
			"fs.s3.endpoint": server.URL, "fs.s3.accessKeyId": "id", "fs.s3.accessKeySecret": "secret",
		}
	}, func(c *Config) { c.ReadTimeout = 10 * time.Second })
}

// TestOddTags checks that objects with tags that no If-Match may contain can be
// read through workers, and that a replaced one is noticed.
func TestOddTags(t *testing.T) {
	for _, tag := range []string{`W/"abc"`, `"a b"`, `"quote"inside"`, `unquoted`, `"` + strings.Repeat("k", 1024) + `"`, ""} {
		g := &gateway{objects: map[string]string{"file": "hello"}, tag: tag}
		if tag == "unquoted" {
			g.tag = `"unquoted"`
		}
		f := newGateway(t, g)
		v := f.lookup("", "file")
		f.mustRead(v, []byte("hello"))
	}
	g := &gateway{objects: map[string]string{"file": string(random(1, 9<<20))}, tag: `W/"abc"`}
	f := newGateway(t, g)
	file, err := f.reader.Open(t.Context(), f.lookup("", "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	g.replace(`W/"abd"`)
	if _, err := file.ReadAt(t.Context(), make([]byte, 10), 8<<20); !errors.Is(err, ErrStale) {
		t.Errorf("a replaced object: %v", err)
	}
}

// TestListingWithoutToken checks that what an incomplete listing lacks is not
// absent.
func TestListingWithoutToken(t *testing.T) {
	objects := map[string]string{}
	for i := range 25 {
		objects[fmt.Sprintf("dir/f%02d", i)] = "x"
	}
	f := newGateway(t, &gateway{objects: objects, limit: 10, tag: `"abc"`})
	if page, err := f.reader.List(t.Context(), "m1", "dir", ""); err == nil {
		t.Errorf("%d of 25 names, more %v, and no error", len(page.Entries), page.More)
	}
	if _, err := f.reader.Lookup(t.Context(), "m1", "dir", "f20"); errors.Is(err, ErrNotExist) {
		t.Errorf("an object that exists: %v", err)
	}
}

// TestChangesOfAttributesOnly checks that a handle survives what changes no byte
// of a file: cp -al and backups do it to whole trees.
func TestChangesOfAttributesOnly(t *testing.T) {
	f := newReal(t, 2)
	data := random(4, 24<<20)
	f.put("file", data)
	path := filepath.Join(f.store, "file")
	file, err := f.reader.Open(t.Context(), f.lookup("", "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for i, change := range []func() error{
		func() error { return os.Link(path, path+"-link") },
		func() error { return os.Chmod(path, 0o640) },
		func() error { return os.Chown(path, os.Getuid(), os.Getgid()) },
		func() error { return os.Remove(path + "-link") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		p, offset := make([]byte, 4096), int64(i)*5<<20
		if n, err := file.ReadAt(t.Context(), p, offset); err != nil || string(p[:n]) != string(data[offset:offset+4096]) {
			t.Errorf("after change %d: %v", i, err)
		}
	}
}

// TestDirectoryOnTwoHosts reads through workers that see one directory under two
// device numbers, like hosts that mount one NFS export.
func TestDirectoryOnTwoHosts(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for i := range 40 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hosts := map[string]string{}
	for _, worker := range []string{"worker-0", "worker-1"} {
		at := t.TempDir()
		if err := unix.Mount("overlay", at, "overlay", 0, "lowerdir="+dir+":"+other); err != nil {
			t.Skipf("not run: cannot mount an overlay: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
		hosts[worker] = at
	}
	f := newRealOf(t, 2, func(f *real) {
		f.uri = func(worker string) string { return "file://" + hosts[worker] + "/" }
	}, func(c *Config) { c.ReadTimeout = 10 * time.Second })
	for i := range 40 {
		f.mustRead(f.lookup("", fmt.Sprint("f", i)), []byte("hello"))
	}
}
