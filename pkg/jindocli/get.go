package jindocli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

func cat(ctx context.Context, s *shell, args []string) error {
	return s.each(ctx, args, func(n node) error {
		if n.entry.Dir {
			return errIsDirectory
		}
		return s.tree.copyTo(ctx, s.env.Out, n)
	})
}

// get copies a file or a directory to this machine.
func get(ctx context.Context, s *shell, args []string) error {
	set, rest, err := options(args, "f")
	if err != nil {
		return err
	}
	if len(rest) == 0 || len(rest) > 2 {
		return usagef("jindo fs -get: requires SOURCE and at most one TARGET")
	}
	target := "."
	if len(rest) == 2 {
		target = rest[1]
	}
	return s.each(ctx, rest[:1], func(n node) error {
		to := target
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			to = filepath.Join(target, localName(n))
		}
		return s.copy(ctx, n, to, set['f'])
	})
}

// localName returns the name of a node in the directory that it is copied into.
func localName(n node) string {
	if n.path == "/" {
		return "root"
	}
	return path.Base(n.path)
}

// copy writes to target and below only: names of the store are checked, so that
// none can act as a path.
func (s *shell) copy(ctx context.Context, n node, target string, force bool) error {
	if !n.entry.Dir {
		return s.copyFile(ctx, n, target, force)
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	return s.tree.children(ctx, n, func(child node) error {
		name := child.entry.Name
		if name == "" || name == "." || name == ".." || strings.ContainsRune(name, filepath.Separator) {
			return fmt.Errorf("invalid file name %q", name)
		}
		return s.copy(ctx, child, filepath.Join(target, name), force)
	})
}

// copyFile writes a temporary file and renames it to target when it is complete.
func (s *shell) copyFile(ctx context.Context, n node, target string, force bool) error {
	if _, err := os.Lstat(target); err == nil && !force {
		return fmt.Errorf("%s: %w", target, fs.ErrExist)
	}
	temporary, err := atomicfile.Create(target, 0o644)
	if err != nil {
		return err
	}
	defer temporary.Close()
	err = s.tree.copyTo(ctx, temporary.File, n)
	if err == nil && !n.entry.Modified.IsZero() {
		err = os.Chtimes(temporary.Name(), n.entry.Modified, n.entry.Modified)
	}
	if err == nil {
		err = temporary.Commit()
	}
	return err
}
