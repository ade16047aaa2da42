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

// lookAgain is how often files are read anew that changed under the reading.
const lookAgain = 3

// fileCredentials reads one option a file: DIR/fs.oss.accessKeyId and so on,
// or where there is no DIR the file DIR__fs.oss.accessKeyId beside it.
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
// and, if it is there, "fs.oss.securityToken". Where there is no such
// directory, as in a mounted Secret, which is flat, the files lie beside it and
// are named by [ufs.CredentialKey] of the directory's name and the option. It
// looks for changes at most once a second, and at once when the store refuses
// what it answered. It follows links as a mounted Secret makes them, and never
// mixes two versions of it. Stores that need none (file://) get none. Safe for
// concurrent use.
func FileCredentials(dir, uri string) ufs.CredentialsSource {
	scheme, _, _ := strings.Cut(uri, "://")
	scheme = strings.ToLower(scheme)
	if scheme == "file" || scheme == "local" {
		return ufs.StaticCredentials{}
	}
	return &fileCredentials{dir: filepath.Clean(dir), scheme: scheme, now: time.Now}
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

// options of the three credentials; the last may be missing.
func options() [3]string { return [3]string{"accessKeyId", "accessKeySecret", "securityToken"} }

// look reads the files if they changed, and again when they change meanwhile:
// an id goes with the secret that was written with it.
func (c *fileCredentials) look(always bool) {
	seen := c.stamps()
	if !always && c.value != (ufs.Credentials{}) && seen == c.seen {
		return
	}
	for range lookAgain {
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

// read answers what the files hold, or which of them cannot be read.
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

// lost keeps the last credentials that were there: a file that is being
// written anew is empty for a moment. Whether they still hold is the store's
// to say.
func (c *fileCredentials) lost(name string, err error) {
	if c.value == (ufs.Credentials{}) {
		c.err = c.failed(name, err)
	}
	c.seen = [3]stamp{}
}

// path of an option's file. A directory that is there wins over flat files.
func (c *fileCredentials) path(name string) string {
	option := "fs." + c.scheme + "." + name
	if info, err := os.Stat(c.dir); err == nil && info.IsDir() {
		return filepath.Join(c.dir, option)
	}
	return filepath.Join(filepath.Dir(c.dir), ufs.CredentialKey(filepath.Base(c.dir), option))
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
