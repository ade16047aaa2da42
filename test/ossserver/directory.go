package ossserver

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/file"
)

// directory is a bucket of files. Names, versions and bytes are those of the file
// driver; the MD5 tags that OSS shows are computed here, once for each version.
type directory struct {
	files *file.Store

	mu   sync.Mutex
	tags map[string]tagged // by key
}

// tagged is the tag of a version of a file.
type tagged struct{ version, etag string }

var _ contents = (*directory)(nil)

func newDirectory(dir string) (*directory, error) {
	files, err := file.Open(ufs.Location{Scheme: "file", Dir: dir})
	if err != nil {
		return nil, err
	}
	return &directory{files: files, tags: map[string]tagged{}}, nil
}

func (d *directory) list(ctx context.Context, q query) (listing, error) {
	page, err := d.files.List(ctx, ufs.ListOptions{
		Prefix: q.prefix, Delimiter: q.delimiter, StartAfter: q.startAfter, Continuation: q.continuation, MaxKeys: q.limit,
	})
	if err != nil {
		return listing{}, asFailure(err)
	}
	out := listing{prefixes: page.Prefixes, next: page.Next}
	for _, o := range page.Objects {
		etag, err := d.tag(ctx, o)
		if errors.Is(err, ufs.ErrNotFound) || errors.Is(err, ufs.ErrPrecondition) {
			continue // deleted or replaced since it was listed
		}
		if err != nil {
			return listing{}, asFailure(err)
		}
		out.objects = append(out.objects, d.object(o, etag))
	}
	return out, nil
}

func (d *directory) object(o ufs.Object, etag string) *object {
	return &object{key: o.Key, size: o.Size, etag: etag, modified: o.LastModified, meta: o.Metadata}
}

// tag returns the MD5 of a version, computed once.
func (d *directory) tag(ctx context.Context, o ufs.Object) (string, error) {
	d.mu.Lock()
	known := d.tags[o.Key]
	d.mu.Unlock()
	if known.version == o.ETag {
		return known.etag, nil
	}
	body, _, err := d.files.Get(ctx, o.Key, ufs.Whole, o.ETag)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	sum := md5.New()
	if _, err := io.Copy(sum, body); err != nil {
		return "", err
	}
	return d.remember(o, strings.ToUpper(hex.EncodeToString(sum.Sum(nil)))), nil
}

func (d *directory) remember(o ufs.Object, etag string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tags[o.Key] = tagged{version: o.ETag, etag: etag}
	return etag
}

func (d *directory) open(ctx context.Context, key string) (*object, error) {
	const tries = 10 // a file may be replaced between Stat and Get
	var err error
	for range tries {
		var o ufs.Object
		if o, err = d.files.Stat(ctx, key); err != nil {
			break
		}
		var etag string
		if etag, err = d.tag(ctx, o); err == nil {
			out := d.object(o, etag)
			out.content = &section{ctx: ctx, files: d.files, of: o}
			// The open file is the version.
			if _, err = out.content.Seek(0, io.SeekStart); err == nil {
				return out, nil
			}
		}
		if !errors.Is(err, ufs.ErrPrecondition) {
			break
		}
	}
	return nil, asFailure(err)
}

// section reads a version from any offset by opening it there.
type section struct {
	ctx   context.Context
	files *file.Store
	of    ufs.Object
	body  io.ReadCloser
}

func (s *section) Seek(offset int64, _ int) (int64, error) {
	if seeker, is := s.body.(io.Seeker); is {
		return seeker.Seek(offset, io.SeekStart)
	}
	body, _, err := s.files.Get(s.ctx, s.of.Key, ufs.Whole, s.of.ETag)
	if err != nil {
		return 0, err
	}
	s.body = body
	if offset > 0 {
		return s.Seek(offset, io.SeekStart)
	}
	return 0, nil
}

func (s *section) Read(p []byte) (int, error) { return s.body.Read(p) }

func (s *section) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

func (d *directory) put(ctx context.Context, key string, body io.Reader, size int64, meta map[string]string, forbid bool) (*object, error) {
	sum := md5.New()
	o, err := d.files.Put(ctx, key, io.TeeReader(body, sum), size, meta, ufs.Conditions{IfNoneMatch: forbid})
	if forbid && errors.Is(err, ufs.ErrPrecondition) {
		return nil, exists()
	}
	if err != nil {
		return nil, asFailure(err)
	}
	etag := tagOf(ctx)
	if etag == "" {
		etag = strings.ToUpper(hex.EncodeToString(sum.Sum(nil)))
	}
	return d.object(o, d.remember(o, etag)), nil
}

func (d *directory) remove(ctx context.Context, key string) error {
	err := d.files.Delete(ctx, key, ufs.Conditions{})
	if errors.Is(err, ufs.ErrInvalid) {
		return nil // such a key cannot exist
	}
	return asFailure(err)
}

// asFailure converts errors of the file driver to OSS's.
func asFailure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ufs.ErrNotFound):
		return noKey()
	case errors.Is(err, ufs.ErrInvalid):
		return fail(http.StatusBadRequest, "InvalidObjectName", fmt.Sprintf("A directory cannot serve this: %v.", err))
	case errors.Is(err, ufs.ErrPermission):
		return fail(http.StatusForbidden, "AccessDenied", err.Error())
	}
	return err
}
