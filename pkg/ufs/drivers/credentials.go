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

// checkEvery is the interval between checks of the files for changes.
const checkEvery = time.Second

// maxReads limits how often files that change while they are read are read again.
const maxReads = 3

// fileCredentials reads each option from its own file: DIR/fs.oss.accessKeyId
// and so on or, if DIR does not exist, the file DIR__fs.oss.accessKeyId beside
// it.
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

// stamp identifies one version of a file.
type stamp struct {
	name  string
	size  int64
	mtime time.Time
}

var (
	_ ufs.CredentialsSource = (*fileCredentials)(nil)
	_ ufs.Refresher         = (*fileCredentials)(nil)
)

// FileCredentials reads the credentials of a mount point from the files of a
// directory, which are named by option: "fs.oss.accessKeyId",
// "fs.oss.accessKeySecret" and, if it exists, "fs.oss.securityToken". If the
// directory does not exist, as in a mounted Secret, which is flat, the files are
// beside it and named by [ufs.CredentialKey] of the directory's name and the
// option. The files are checked for changes at most once a second, and
// immediately after the store has refused the credentials. Symbolic links are
// followed as a mounted Secret uses them, and versions of it are never mixed.
// Stores without credentials (file://) get none. Safe for concurrent use.
func FileCredentials(dir, uri string) ufs.CredentialsSource {
	scheme, _, _ := strings.Cut(uri, "://")
	scheme = strings.ToLower(scheme)
	if scheme == "file" || scheme == "local" {
		return ufs.StaticCredentials{}
	}
	return &fileCredentials{dir: filepath.Clean(dir), scheme: scheme, now: time.Now}
}

// Credentials returns the content of the files, at most a second old.
func (c *fileCredentials) Credentials(ctx context.Context) (ufs.Credentials, error) {
	if err := ctx.Err(); err != nil {
		return ufs.Credentials{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.checked.IsZero() || now.Sub(c.checked) >= checkEvery || now.Before(c.checked) {
		c.checked = now
		c.reload(false)
	}
	return c.value, c.err
}

// Refresh reads the files, however recently they were checked.
func (c *fileCredentials) Refresh(ctx context.Context, refused ufs.Credentials) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.value != refused {
		return true, nil // a concurrent request has refreshed it
	}
	c.checked = c.now()
	c.reload(true)
	return c.err == nil && c.value != refused, c.err
}

// options returns the names of the credentials; the last one is optional.
func options() [3]string { return [3]string{"accessKeyId", "accessKeySecret", "securityToken"} }

// reload reads the files if they have changed, and again if they change
// meanwhile, so that an id is paired with the secret that was written with it.
func (c *fileCredentials) reload(always bool) {
	seen := c.stamps()
	if !always && c.value != (ufs.Credentials{}) && seen == c.seen {
		return
	}
	for range maxReads {
		value, name, err := c.read()
		now := c.stamps()
		if now != seen {
			seen = now
			continue
		}
		if err != nil {
			c.lost(name, err)
			return
		}
		c.seen, c.value, c.err = seen, value, nil
		return
	}
	c.lost(options()[0], errors.New("the files keep changing"))
}

// read returns the content of the files, or the option whose file is unreadable.
func (c *fileCredentials) read() (ufs.Credentials, string, error) {
	var values [3]string
	for i, name := range options() {
		raw, err := os.ReadFile(c.path(name))
		switch {
		case err == nil:
			values[i] = strings.TrimSpace(string(raw))
		case errors.Is(err, fs.ErrNotExist) && i == 2:
		default:
			return ufs.Credentials{}, name, err
		}
		if i < 2 && values[i] == "" {
			return ufs.Credentials{}, name, errors.New("the file is empty")
		}
	}
	return ufs.Credentials{AccessKeyID: values[0], AccessKeySecret: values[1], SecurityToken: values[2]}, "", nil
}

func (c *fileCredentials) stamps() [3]stamp {
	var seen [3]stamp
	for i, name := range options() {
		seen[i] = stampOf(c.path(name))
	}
	return seen
}

// lost handles files that cannot be read. The last credentials are kept, because
// a file is empty for a moment while it is rewritten; the store decides whether
// they are still valid.
func (c *fileCredentials) lost(name string, err error) {
	if c.value == (ufs.Credentials{}) {
		c.err = c.failed(name, err)
	}
	c.seen = [3]stamp{}
}

// path returns the file of an option. An existing directory has precedence over
// flat files.
func (c *fileCredentials) path(name string) string {
	option := "fs." + c.scheme + "." + name
	if info, err := os.Stat(c.dir); err == nil && info.IsDir() {
		return filepath.Join(c.dir, option)
	}
	return filepath.Join(filepath.Dir(c.dir), ufs.CredentialKey(filepath.Base(c.dir), option))
}

func (c *fileCredentials) failed(name string, err error) error {
	return fmt.Errorf("read credential fs.%s.%s: %w; add it to the Secret that spec.mounts[].encryptOptions names: %w", c.scheme, name, err, ufs.ErrPermission)
}

// stampOf follows symbolic links, so that the swapped directory of a Secret is
// detected.
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
