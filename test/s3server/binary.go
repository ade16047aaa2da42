// Package s3server runs versitygw, a real S3 server over a directory, for
// tests and the demo.
package s3server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// Find returns the path of versitygw: that in JINDO_VERSITYGW, else bin/versitygw
// of the repository, else one that is built once from tools/versitygw into the
// user's cache, which takes about a minute. Find reports a build to progress.
func Find(ctx context.Context, progress io.Writer) (string, error) {
	if path := os.Getenv("JINDO_VERSITYGW"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("find versitygw by JINDO_VERSITYGW: %w", err)
		}
		return path, nil
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	if path := filepath.Join(root, "bin", "versitygw"); isFile(path) {
		return path, nil
	}
	version, err := pinned(root)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache: %w", err)
	}
	path := filepath.Join(cache, "jindo", "bin", "versitygw-"+version)
	if isFile(path) {
		return path, nil
	}
	return path, build(ctx, root, path, progress)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// repository returns the root of the sources, above the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if isFile(filepath.Join(dir, "tools", "versitygw", "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("tools/versitygw/go.mod not found in any parent directory: run within the repository")
		}
		dir = parent
	}
}

var pin = regexp.MustCompile(`(?m)^\s*(?:require )?github\.com/versity/versitygw (v\S+)`)

func pinned(root string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(root, "tools", "versitygw", "go.mod"))
	if err != nil {
		return "", err
	}
	found := pin.FindSubmatch(raw)
	if found == nil {
		return "", errors.New("tools/versitygw/go.mod requires no version of versitygw")
	}
	return string(found[1]), nil
}

// build builds the program once; concurrent calls wait.
func build(ctx context.Context, root, path string, progress io.Writer) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("wait for another build of versitygw: %w", err)
	}
	if isFile(path) {
		return nil
	}
	_, _ = fmt.Fprintf(progress, "building versitygw into %s (a minute, once)\n", path)
	partial := path + ".partial"
	command := exec.CommandContext(ctx, "go", "build", "-modfile=tools/versitygw/go.mod", "-o", partial, "github.com/versity/versitygw/cmd/versitygw")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build versitygw: %w: %s", err, out)
	}
	if err := os.Rename(partial, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
