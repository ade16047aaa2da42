// Package owner marks directories with the runtime that they belong to, and
// removes only those that carry the mark: a cache directory of another runtime,
// or what a person keeps at the same place, is never deleted.
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

// File is the mark: it holds the uid of the runtime.
const File = ".jindo-runtime"

// Variable of the environment that holds the uid; without it nothing is marked.
const Variable = "JINDO_OWNER_UID"

// Claim marks directories, made if they are not there, with the uid in the
// environment. A mark of an earlier runtime is replaced: who uses a directory
// owns it.
func Claim(dirs ...string) error {
	uid := os.Getenv(Variable)
	if uid == "" {
		return nil
	}
	for _, dir := range dirs {
		if err := claim(uid, dir); err != nil {
			return fmt.Errorf("marking %s as this runtime's: %w", dir, err)
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

// Removal is what became of directories.
type Removal struct {
	// Removed directories.
	Removed []string
	// Kept are those that do not carry the uid, and why.
	Kept []string
}

// Remove removes below root the directories of the runtime that lies at
// NAMESPACE/NAME: its children two levels down that carry the mark or are
// empty, and then what is empty above them up to root. It never leaves root,
// whatever links there are. Nothing there is no error.
func Remove(root, below, uid string) (Removal, error) {
	var removal Removal
	if uid == "" || below == "" || !filepath.IsLocal(below) {
		return removal, fmt.Errorf("removing %q below %s: it needs a relative path and a uid", below, root)
	}
	dir, err := os.OpenRoot(root)
	if errors.Is(err, fs.ErrNotExist) {
		return removal, nil
	}
	if err != nil {
		return removal, fmt.Errorf("opening %s: %w", root, err)
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
		removal.Kept = append(removal.Kept, part+" is no directory")
		return nil
	}
	mark, err := root.ReadFile(path.Join(part, File))
	switch {
	case err == nil && strings.TrimSpace(string(mark)) == uid:
		if err := root.RemoveAll(part); err != nil {
			return fmt.Errorf("removing %s: %w", part, err)
		}
		removal.Removed = append(removal.Removed, part)
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("reading whose %s is: %w", part, err)
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
		removal.Kept = append(removal.Kept, fmt.Sprintf("%s has no file %s that says whose it is", part, File))
	}
	return nil
}

// list names what is in a directory; nothing where there is none.
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

// removeEmpty removes a directory unless something is in it.
func removeEmpty(root *os.Root, dir string) {
	if info, err := root.Lstat(dir); err == nil && info.IsDir() {
		_ = root.Remove(dir) // what is in it keeps it
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
