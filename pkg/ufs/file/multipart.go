package file

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// uploadFile describes an upload in its staging directory.
const uploadFile = "upload.json"

// upload is the content of uploadFile.
type upload struct {
	// Key is bytes, because a name need not be UTF-8, and JSON text must be.
	Key      []byte            `json:"key"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// CreateMultipart creates a staging directory for parts.
func (s *Store) CreateMultipart(ctx context.Context, key string, metadata map[string]string) (string, error) {
	id, err := s.createUpload(ctx, key, metadata)
	return id, s.failed("starting an upload of", key, err)
}

func (s *Store) createUpload(ctx context.Context, key string, metadata map[string]string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	t, err := parse(key)
	if err != nil {
		return "", err
	}
	if t.dir {
		return "", fmt.Errorf("a key with a trailing slash is a directory and cannot contain bytes: %w", ufs.ErrInvalid)
	}
	root, err := s.root()
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	id := rand.Text()
	dir := path.Join(uploads, id)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	raw, err := json.Marshal(upload{Key: []byte(key), Metadata: metadata})
	if err != nil {
		return "", fmt.Errorf("writing metadata: %w: %w", err, ufs.ErrInvalid)
	}
	return id, root.WriteFile(path.Join(dir, uploadFile), raw, 0o644)
}

// openUpload opens the staging directory of an upload of that key.
func (s *Store) openUpload(ctx context.Context, key, id string) (*os.Root, upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, upload{}, err
	}
	if id == "" || strings.ContainsAny(id, "/\x00.") {
		return nil, upload{}, noUpload(id)
	}
	root, err := s.root()
	if err != nil {
		return nil, upload{}, err
	}
	defer func() { _ = root.Close() }()
	raw, err := root.ReadFile(path.Join(uploads, id, uploadFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, upload{}, noUpload(id)
	}
	if err != nil {
		return nil, upload{}, err
	}
	var u upload
	if err := json.Unmarshal(raw, &u); err != nil {
		return nil, upload{}, fmt.Errorf("reading upload %s: %w: %w", id, err, ufs.ErrUnavailable)
	}
	if string(u.Key) != key {
		return nil, upload{}, noUpload(id)
	}
	dir, err := root.OpenRoot(path.Join(uploads, id))
	return dir, u, err
}

func noUpload(id string) error {
	return fmt.Errorf("upload %q not found: %w", id, ufs.ErrNotFound)
}

func partName(number int, etag string) string { return fmt.Sprintf("%05d.%s", number, etag) }

// UploadPart stores a part beside others of the same number. CompleteMultipart
// names the one that counts.
func (s *Store) UploadPart(ctx context.Context, key, id string, n int, source io.ReadSeeker, size int64) (ufs.Part, error) {
	part, err := s.uploadPart(ctx, key, id, n, source, size)
	return part, s.failed(fmt.Sprintf("storing part %d of", n), key, err)
}

func (s *Store) uploadPart(ctx context.Context, key, id string, n int, source io.ReadSeeker, size int64) (ufs.Part, error) {
	if n < 1 || n > 10000 {
		return ufs.Part{}, fmt.Errorf("part number %d is not within 1 to 10000: %w", n, ufs.ErrInvalid)
	}
	dir, _, err := s.openUpload(ctx, key, id)
	if err != nil {
		return ufs.Part{}, err
	}
	defer func() { _ = dir.Close() }()
	name := temporary + rand.Text()
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return ufs.Part{}, err
	}
	defer func() { _ = f.Close() }()
	sum := md5.New()
	if err := fill(ctx, f, io.TeeReader(source, sum), size); err != nil {
		_ = dir.Remove(name)
		return ufs.Part{}, err
	}
	part := ufs.Part{Number: n, ETag: hex.EncodeToString(sum.Sum(nil)), Size: size}
	return part, dir.Rename(name, partName(n, part.ETag))
}

// CompleteMultipart joins the parts into a temporary file and renames it.
func (s *Store) CompleteMultipart(ctx context.Context, key, id string, parts []ufs.Part, c ufs.Conditions) (ufs.Object, error) {
	object, err := s.complete(ctx, key, id, parts, c)
	return object, s.failed("completing the upload of", key, err)
}

func (s *Store) complete(ctx context.Context, key, id string, parts []ufs.Part, c ufs.Conditions) (ufs.Object, error) {
	dir, u, err := s.openUpload(ctx, key, id)
	if err != nil {
		return ufs.Object{}, err
	}
	defer func() { _ = dir.Close() }()
	if len(parts) == 0 {
		return ufs.Object{}, fmt.Errorf("an upload requires at least one part: %w", ufs.ErrInvalid)
	}
	for i := 1; i < len(parts); i++ {
		if parts[i].Number <= parts[i-1].Number {
			return ufs.Object{}, fmt.Errorf("part %d follows part %d: %w", parts[i].Number, parts[i-1].Number, ufs.ErrInvalid)
		}
	}
	object, err := s.put(ctx, key, u.Metadata, c, -1, func(f *os.File) error {
		for _, part := range parts {
			if err := appendPart(ctx, f, dir, part); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return ufs.Object{}, err
	}
	// The object is complete; a staging directory that remains only takes space.
	_ = s.abort(ctx, key, id)
	return object, nil
}

func appendPart(ctx context.Context, to *os.File, dir *os.Root, part ufs.Part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	missing := fmt.Errorf("part %d with tag %q was not stored: %w", part.Number, part.ETag, ufs.ErrInvalid)
	if part.ETag == "" || strings.ContainsAny(part.ETag, "/\x00") {
		return missing
	}
	from, err := dir.Open(partName(part.Number, part.ETag))
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	_, err = io.Copy(to, from)
	return err
}

// AbortMultipart removes the staging directory.
func (s *Store) AbortMultipart(ctx context.Context, key, id string) error {
	return s.failed("aborting the upload of", key, s.abort(ctx, key, id))
}

func (s *Store) abort(ctx context.Context, key, id string) error {
	dir, _, err := s.openUpload(ctx, key, id)
	if errors.Is(err, ufs.ErrNotFound) && !errors.Is(err, ufs.ErrNoBucket) {
		return nil
	}
	if err != nil {
		return err
	}
	_ = dir.Close()
	root, err := s.root()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return root.RemoveAll(path.Join(uploads, id))
}
