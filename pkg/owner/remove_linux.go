package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Remove removes the directories of a runtime from root/below, where below is
// NAMESPACE/NAME: those two levels down that have the mark or are empty, and
// then parents that are empty, up to root. It follows no symbolic link below root.
// If nothing exists, it returns no error.
func Remove(root, below, uid string) (Removal, error) {
	var removal Removal
	if uid == "" || below == "" || below == "." || !filepath.IsLocal(below) {
		return removal, fmt.Errorf("remove %q below %s: needs a relative path and a uid", below, root)
	}
	top, err := os.Open(root)
	if errors.Is(err, fs.ErrNotExist) {
		return removal, nil
	}
	if err != nil {
		return removal, fmt.Errorf("open %s: %w", root, err)
	}
	defer func() { _ = top.Close() }()
	below = path.Clean(below)
	err = removeGroups(top, below, uid, &removal)
	removeEmpty(top, below)
	return removal, err
}

// removeGroups removes the runtime's directories in each directory of below, such as
// jindofs.
func removeGroups(top *os.File, below, uid string, removal *Removal) error {
	return each(top, below, removal, func(dir *os.File, group string) error {
		inner := path.Join(below, group)
		err := each(top, inner, removal, func(dir *os.File, part string) error { // tier, data, master-0
			return removePart(dir, part, path.Join(inner, part), uid, removal)
		})
		removeChild(dir, group)
		return err
	})
}

// each calls do with the name of each entry of a directory below top. It records a
// directory whose path has a symbolic link as kept.
func each(top *os.File, name string, removal *Removal, do func(dir *os.File, entry string) error) error {
	dir, err := openDir(top, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EXDEV):
		removal.Kept = append(removal.Kept, name+" is not a directory, or a part of its path is a symbolic link")
		return nil
	case err != nil:
		return err
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	var errs []error
	for _, entry := range entries {
		errs = append(errs, do(dir, entry.Name()))
	}
	return errors.Join(errs...)
}

// removePart removes the directory name of parent if it has the mark or is empty.
func removePart(parent *os.File, name, label, uid string, removal *Removal) error {
	part, err := openDir(parent, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		removal.Kept = append(removal.Kept, label+" is not a directory")
		return nil
	case err != nil:
		return fmt.Errorf("open %s: %w", label, err)
	}
	defer func() { _ = part.Close() }()
	mark, err := readMark(part)
	if err == nil && strings.TrimSpace(mark) == uid {
		if err := removeAll(parent, name); err != nil {
			return fmt.Errorf("remove %s: %w", label, err)
		}
		removal.Removed = append(removal.Removed, label)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		removal.Kept = append(removal.Kept, fmt.Sprintf("%s: %v", label, err))
		return nil
	}
	switch {
	case err == nil:
		removal.Kept = append(removal.Kept, fmt.Sprintf("%s belongs to the runtime with uid %s", label, strings.TrimSpace(mark)))
	case removeChild(parent, name):
		removal.Removed = append(removal.Removed, label)
	default:
		removal.Kept = append(removal.Kept, fmt.Sprintf("%s has no file %s with the uid of its owner", label, File))
	}
	return nil
}

// removeAll removes the directory name of parent with its content. It removes
// symbolic links instead of following them.
func removeAll(parent *os.File, name string) error {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", parent.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return root.RemoveAll(name)
}

// removeChild removes the directory name of parent if it is empty, and reports
// whether it did.
func removeChild(parent *os.File, name string) bool {
	return unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR) == nil
}

// removeEmpty removes below and its parents, up to top, as long as they are empty.
func removeEmpty(top *os.File, below string) {
	for below != "." {
		parent, err := openDir(top, path.Dir(below))
		if err != nil {
			return
		}
		removed := removeChild(parent, path.Base(below))
		_ = parent.Close()
		if !removed {
			return
		}
		below = path.Dir(below)
	}
}
