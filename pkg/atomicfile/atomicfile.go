// Package atomicfile replaces files as a whole: a reader sees the previous
// content or the new content, never a part of either.
//
// Two guarantees are offered. [Write] and [File.Commit] are durable: after they
// return, the new content survives a loss of power. [File.Publish] protects
// against the death of the process only, and costs no flush.
//
// github.com/google/renameio is not used: it does not sync the directory, it
// closes the file that it renames, and it does not build on Windows, where the
// plugin runs.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// File is a temporary file that takes the place of a target when it is
// committed. A File must be used by one goroutine at a time.
type File struct {
	*os.File
	target    string
	published bool
}

// Create opens a temporary file for writing in the directory of target, with
// the given permission bits. The caller must call Commit or Publish, and must
// call Close in every case.
func Create(target string, mode fs.FileMode) (*File, error) {
	file, err := os.CreateTemp(filepath.Dir(target), prefix(target)+"*"+suffix)
	if err != nil {
		return nil, fmt.Errorf("replace %s: %w", target, err)
	}
	f := &File{File: file, target: target}
	if err := file.Chmod(mode); err != nil {
		return nil, fmt.Errorf("replace %s: %w", target, errors.Join(err, f.Close()))
	}
	return f, nil
}

// A temporary file is named .BASE.RANDOM.tmp, in the directory of its target.
const suffix = ".tmp"

func prefix(target string) string { return "." + filepath.Base(target) + "." }

// abandoned is the age, since the last write, of a temporary file whose writer
// is taken to be dead.
const abandoned = time.Hour

// RemoveAbandoned removes temporary files that killed processes left beside
// target, so that repeated kills do not fill the disk. It is best effort. It lists
// the directory: Write calls it, and a user of Create whose process may be killed
// repeatedly calls it when it starts.
func RemoveAbandoned(target string) {
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), prefix(target)) || !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(filepath.Dir(target), entry.Name()))
		}
	}
}

// Commit syncs the file, renames it to its target, and syncs the directory.
// When Commit returns nil, the new content survives a loss of power. The file
// stays open.
func (f *File) Commit() error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("replace %s: %w", f.target, err)
	}
	if err := f.Publish(); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(f.target))
}

// Publish renames the file to its target without syncing either. After a loss
// of power the target may hold the previous content, the new content, or
// nothing. The file stays open.
func (f *File) Publish() error {
	if err := os.Rename(f.Name(), f.target); err != nil {
		return fmt.Errorf("replace %s: %w", f.target, err)
	}
	f.published = true
	return nil
}

// Close closes the file, and removes it unless it was renamed to its target.
func (f *File) Close() error {
	err := f.File.Close()
	if f.published {
		return err
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// Write replaces the file named path, or creates it, with content and the
// given permission bits. When Write returns nil, the content survives a loss of
// power; when it returns an error, the previous file is unchanged unless only
// the sync of the directory failed. Concurrent calls for one path are safe: one
// of the contents remains.
func Write(path string, content []byte, mode fs.FileMode) error {
	RemoveAbandoned(path)
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("replace %s: %w", path, errors.Join(err, f.Close()))
	}
	if err := f.Commit(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}
