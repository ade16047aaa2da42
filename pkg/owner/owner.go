// Package owner marks directories with the runtime that they belong to, and
// removes only directories with that mark: it never deletes a cache directory
// of another runtime, or other files at the same place.
package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File is the name of the file with the mark: the uid of the runtime.
const File = ".jindo-runtime"

// Variable is the environment variable with the uid. Without it nothing is
// marked.
const Variable = "JINDO_OWNER_UID"

// Claim marks directories with the uid in the environment, and creates them if
// they do not exist. It replaces the mark of an earlier runtime: a directory
// belongs to the runtime that uses it.
func Claim(dirs ...string) error {
	uid := os.Getenv(Variable)
	if uid == "" {
		return nil
	}
	for _, dir := range dirs {
		if err := claim(uid, dir); err != nil {
			return fmt.Errorf("mark %s as this runtime's: %w", dir, err)
		}
	}
	return nil
}

func claim(uid, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, File)
	if old, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(old)) == uid {
		return nil
	}
	return os.WriteFile(name, []byte(uid+"\n"), 0o644)
}

// Removal is the result of Remove.
type Removal struct {
	// Removed lists the removed directories.
	Removed []string
	// Kept lists the directories that do not have the uid as mark, each with
	// the reason.
	Kept []string
}

// Remove removes the directories of a runtime from root/below, where below is
// NAMESPACE/NAME: those two levels down that have the mark or are empty, and
// then parents that are empty, up to root. It never leaves root, even through
// links. If nothing exists, it returns no error.
func Remove(root, below, uid string) (Removal, error) {
	var removal Removal
	if uid == "" || below == "" || !filepath.IsLocal(below) {
		return removal, fmt.Errorf("remove %q below %s: needs a relative path and a uid", below, root)
	}
	dir, err := os.OpenRoot(root)
	if errors.Is(err, fs.ErrNotExist) {
		return removal, nil
	}
	if err != nil {
		return removal, fmt.Errorf("open %s: %w", root, err)
	}
	defer func() { _ = dir.Close() }()
	err = removeTree(dir, path.Clean(below), uid, &removal)
	return removal, err
}

func removeTree(root *os.Root, below, uid string, removal *Removal) error {
	groups, err := list(root, below)
	if err != nil {
		return err
	}
	for _, group := range groups { // jindofs
		group = path.Join(below, group)
		parts, err := list(root, group)
		if err != nil {
			return err
		}
		for _, part := range parts { // tier, data, master-0
			if err := removePart(root, path.Join(group, part), uid, removal); err != nil {
				return err
			}
		}
		removeEmpty(root, group)
	}
	for dir := below; dir != "."; dir = path.Dir(dir) {
		removeEmpty(root, dir)
	}
	return nil
}

func removePart(root *os.Root, part, uid string, removal *Removal) error {
	info, err := root.Lstat(part)
	if err != nil {
		return ignoreMissing(err)
	}
	if !info.IsDir() {
		removal.Kept = append(removal.Kept, part+" is not a directory")
		return nil
	}
	mark, err := root.ReadFile(path.Join(part, File))
	switch {
	case err == nil && strings.TrimSpace(string(mark)) == uid:
		if err := root.RemoveAll(part); err != nil {
			return fmt.Errorf("remove %s: %w", part, err)
		}
		removal.Removed = append(removal.Removed, part)
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the owner of %s: %w", part, err)
	}
	children, listErr := list(root, part)
	switch {
	case listErr != nil:
		return listErr
	case len(children) == 0:
		removeEmpty(root, part)
		removal.Removed = append(removal.Removed, part)
	case err == nil:
		removal.Kept = append(removal.Kept, fmt.Sprintf("%s belongs to the runtime with uid %s", part, strings.TrimSpace(string(mark))))
	default:
		removal.Kept = append(removal.Kept, fmt.Sprintf("%s has no file %s with the uid of its owner", part, File))
	}
	return nil
}

// list returns the names in a directory, or none if it does not exist.
func list(root *os.Root, dir string) ([]string, error) {
	info, err := root.Lstat(dir)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	if !info.IsDir() {
		return nil, nil
	}
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

// removeEmpty removes a directory if it is empty.
func removeEmpty(root *os.Root, dir string) {
	if info, err := root.Lstat(dir); err == nil && info.IsDir() {
		_ = root.Remove(dir) // fails when it is not empty
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
