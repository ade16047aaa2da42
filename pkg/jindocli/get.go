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
		return usagef("jindo fs -get: say what to copy, and where to")
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

// localName of a node in the directory it is copied into.
func localName(n node) string {
	if n.path == "/" {
		return "root"
	}
	return path.Base(n.path)
}

// copy writes below target only: a name in the store is never taken as a path.
func (s *shell) copy(ctx context.Context, n node, target string, force bool) error {
	if !n.entry.Dir {
		return s.copyFile(ctx, n, target, force)
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	return s.tree.children(ctx, n, func(child node) error {
		name := child.entry.Name
		if name == "" || name == "." || name == ".." || strings.ContainsRune(name, filepath.Separator) {
			return fmt.Errorf("%q is no name for a file here", name)
		}
		return s.copy(ctx, child, filepath.Join(target, name), force)
	})
}

// copyFile writes beside the target and moves it there when it is complete.
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
