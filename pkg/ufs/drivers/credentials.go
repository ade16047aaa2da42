package drivers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// checkEvery is how often files are looked at for changes.
const checkEvery = time.Second

// fileCredentials reads one option a file: DIR/fs.oss.accessKeyId and so on.
type fileCredentials struct {
	dir    string
	scheme string
	now    func() time.Time

	mu      sync.Mutex
	checked time.Time
	seen    [3]stamp
	value   ufs.Credentials
	err     error
}

// stamp tells one content of a file from another.
type stamp struct {
	name  string
	size  int64
	mtime time.Time
}

var (
	_ ufs.CredentialsSource = (*fileCredentials)(nil)
	_ ufs.Refresher         = (*fileCredentials)(nil)
)

// FileCredentials reads the credentials for a mount point from the files of a
// directory, named by option: "fs.oss.accessKeyId", "fs.oss.accessKeySecret"
// and, if it is there, "fs.oss.securityToken". It looks for changes at most
// once a second, and at once when the store refuses what it answered. It
// follows links as a mounted Secret makes them. Stores that need none (file://)
// get none. Safe for concurrent use.
func FileCredentials(dir, uri string) ufs.CredentialsSource {
	scheme, _, _ := strings.Cut(uri, "://")
	scheme = strings.ToLower(scheme)
	if scheme == "file" || scheme == "local" {
		return ufs.StaticCredentials{}
	}
	return &fileCredentials{dir: dir, scheme: scheme, now: time.Now}
}

// Credentials as the files say now, or said less than a second ago.
func (c *fileCredentials) Credentials(ctx context.Context) (ufs.Credentials, error) {
	if err := ctx.Err(); err != nil {
		return ufs.Credentials{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.checked.IsZero() || now.Sub(c.checked) >= checkEvery || now.Before(c.checked) {
		c.checked = now
		c.look(false)
	}
	return c.value, c.err
}

// Refresh reads the files however recently they were looked at.
func (c *fileCredentials) Refresh(ctx context.Context, refused ufs.Credentials) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.value != refused {
		return true, nil // somebody refreshed it already
	}
	c.checked = c.now()
	c.look(true)
	return c.err == nil && c.value != refused, c.err
}

// look reads the files if they changed.
func (c *fileCredentials) look(always bool) {
	names := [3]string{"accessKeyId", "accessKeySecret", "securityToken"}
	var seen [3]stamp
	for i, name := range names {
		seen[i] = stampOf(c.path(name))
	}
	if !always && c.value != (ufs.Credentials{}) && seen == c.seen {
		return
	}
	var values [3]string
	for i, name := range names {
		raw, err := os.ReadFile(c.path(name))
		switch {
		case err == nil:
			values[i] = strings.TrimSpace(string(raw))
		case errors.Is(err, fs.ErrNotExist) && i == 2:
		default:
			c.lost(name, err)
			return
		}
		if i < 2 && values[i] == "" {
			c.lost(name, errors.New("the file is empty"))
			return
		}
	}
	c.seen, c.err = seen, nil
	c.value = ufs.Credentials{AccessKeyID: values[0], AccessKeySecret: values[1], SecurityToken: values[2]}
}

// lost keeps the last credentials that were there: a file that is being
// written anew is empty for a moment. Whether they still hold is the store's
// to say.
func (c *fileCredentials) lost(name string, err error) {
	if c.value == (ufs.Credentials{}) {
		c.err = c.failed(name, err)
	}
	c.seen = [3]stamp{}
}

func (c *fileCredentials) path(name string) string {
	return filepath.Join(c.dir, "fs."+c.scheme+"."+name)
}

func (c *fileCredentials) failed(name string, err error) error {
	return fmt.Errorf("reading credential fs.%s.%s: %w; put it into the secret that spec.mounts[].encryptOptions names: %w", c.scheme, name, err, ufs.ErrPermission)
}

// stampOf follows links, so that a Secret's swapped directory is seen.
func stampOf(path string) stamp {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return stamp{}
	}
	info, err := os.Stat(real)
	if err != nil {
		return stamp{}
	}
	return stamp{name: real, size: info.Size(), mtime: info.ModTime()}
}
