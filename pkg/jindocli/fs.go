package jindocli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// fs runs `jindo fs`.
func (r *runner) fs(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return unknownOption("jindo fs", args, fsOptions)
	}
	name, rest := strings.TrimPrefix(args[0], "-"), args[1:]
	if name == "report" {
		return r.report(ctx)
	}
	commands := map[string]func(context.Context, *shell, []string) error{
		"ls": ls, "stat": stat, "cat": cat, "get": get, "copyToLocal": get, "count": count, "du": du, "test": test,
	}
	command, known := commands[name]
	if !known || !strings.HasPrefix(args[0], "-") {
		return unknownOption("jindo fs", args, fsOptions)
	}
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	opening, cancel := r.bounded(ctx)
	defer cancel()
	files, err := cluster.Files(opening)
	if err != nil {
		return err
	}
	return command(ctx, &shell{runner: r, name: name, tree: &tree{files: files}}, rest)
}

const fsOptions = "-ls, -stat, -cat, -get, -count, -du, -test or -report"

// shell is the context of one fs command.
type shell struct {
	*runner
	name string
	tree *tree
	// failed is set once an argument has failed and was reported.
	failed bool
}

// each calls do for each path. A failure is reported in Hadoop's format, and the
// remaining paths are processed.
func (s *shell) each(ctx context.Context, paths []string, do func(node) error) error {
	if len(paths) == 0 {
		return usagef("jindo fs -%s: requires a PATH", s.name)
	}
	for _, text := range paths {
		name, err := parsePath(text)
		if err != nil {
			return err
		}
		n, err := s.tree.find(ctx, name)
		if err == nil {
			err = do(n)
		}
		if err != nil {
			s.report(text, err)
		}
	}
	if s.failed {
		return errReported
	}
	return nil
}

func (s *shell) report(what string, err error) {
	s.failed = true
	s.warn("%s: `%s': %s", s.name, what, message(err))
}

// message returns the text of an error that scripts match, as Hadoop has it.
func message(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, reader.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, reader.ErrPermission):
		return "Permission denied: " + err.Error()
	case errors.Is(err, reader.ErrStale):
		return "Stale file handle: the file was replaced or removed while it was read"
	case errors.Is(err, errIsDirectory):
		return "Is a directory"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	}
	return err.Error()
}

var errIsDirectory = errors.New("is a directory")

// options returns the leading single-letter options, such as -R -h or -Rh, and
// the remaining words.
func options(args []string, letters string) (set map[rune]bool, rest []string, err error) {
	set = map[rune]bool{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		for _, letter := range args[0][1:] {
			if !strings.ContainsRune(letters, letter) {
				return nil, nil, usagef("unknown option %s", args[0])
			}
			set[letter] = true
		}
		args = args[1:]
	}
	return set, args, nil
}

func ls(ctx context.Context, s *shell, args []string) error {
	set, paths, err := options(args, "Rhd")
	if err != nil {
		return err
	}
	line := func(n node) error { return s.print("%s\n", longLine(n, set['h'])) }
	return s.each(ctx, paths, func(n node) error {
		if !n.entry.Dir || set['d'] {
			return line(n)
		}
		if set['R'] {
			return s.tree.children(ctx, n, func(child node) error { return s.tree.walk(ctx, child, line) })
		}
		var found []node
		if err := s.tree.children(ctx, n, func(child node) error { found = append(found, child); return nil }); err != nil {
			return err
		}
		if len(found) > 0 {
			if err := s.print("Found %d items\n", len(found)); err != nil {
				return err
			}
		}
		for _, child := range found {
			if err := line(child); err != nil {
				return err
			}
		}
		return nil
	})
}

// longLine returns a line of -ls: mode, replicas, owner, group, size, date, path.
func longLine(n node, human bool) string {
	mode, replicas := "-rw-r--r--", "1"
	if n.entry.Dir {
		mode, replicas = "drwxr-xr-x", "-"
	}
	return fmt.Sprintf("%s   %s root root %12s %s %s", mode, replicas, length(n.entry.Version.Size, human), date(n.entry.Modified), n.path)
}

func date(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.In(time.Local).Format("2006-01-02 15:04")
}

func length(bytes int64, human bool) string {
	if !human {
		return fmt.Sprint(bytes)
	}
	const step = 1024
	if bytes < step {
		return fmt.Sprint(bytes)
	}
	value, unit := float64(bytes), ""
	for _, unit = range []string{"K", "M", "G", "T", "P"} {
		value /= step
		if value < step {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

func stat(ctx context.Context, s *shell, args []string) error {
	format := "%y"
	if len(args) > 1 && strings.Contains(args[0], "%") {
		format, args = args[0], args[1:]
	}
	return s.each(ctx, args, func(n node) error { return s.print("%s\n", statLine(format, n)) })
}

// statLine replaces %b (bytes), %F (kind), %n (name), %o (block size), %r
// (replicas), %u and %g (owner), %y (date) and %Y (milliseconds).
func statLine(format string, n node) string {
	kind := "regular file"
	if n.entry.Dir {
		kind = "directory"
	}
	modified := n.entry.Modified
	if modified.IsZero() {
		modified = time.Unix(0, 0)
	}
	return strings.NewReplacer(
		"%%", "%", "%b", fmt.Sprint(n.entry.Version.Size), "%F", kind, "%n", n.entry.Name, "%o", "0", "%r", "1",
		"%u", "root", "%g", "root", "%y", modified.UTC().Format(time.DateTime), "%Y", fmt.Sprint(modified.UnixMilli()),
	).Replace(format)
}

func count(ctx context.Context, s *shell, args []string) error {
	set, paths, err := options(args, "hqv")
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usagef("jindo fs -count: requires a PATH")
	}
	for _, text := range paths {
		_ = s.each(ctx, []string{text}, func(n node) error {
			dirs, files, bytes, err := s.total(ctx, n)
			if err != nil {
				return err
			}
			return s.print("%12d %12d %18s %s\n", dirs, files, strings.ReplaceAll(length(bytes, set['h']), " ", ""), text)
		})
	}
	if s.failed {
		return errReported
	}
	return nil
}

func (s *shell) total(ctx context.Context, n node) (dirs, files, bytes int64, err error) {
	err = s.tree.walk(ctx, n, func(n node) error {
		if n.entry.Dir {
			dirs++
			return nil
		}
		files++
		bytes += n.entry.Version.Size
		return nil
	})
	return dirs, files, bytes, err
}

func du(ctx context.Context, s *shell, args []string) error {
	set, paths, err := options(args, "hs")
	if err != nil {
		return err
	}
	line := func(n node) error {
		_, _, bytes, err := s.total(ctx, n)
		if err != nil {
			return err
		}
		return s.print("%s  %s  %s\n", length(bytes, set['h']), length(bytes, set['h']), n.path)
	}
	return s.each(ctx, paths, func(n node) error {
		if set['s'] || !n.entry.Dir {
			return line(n)
		}
		return s.tree.children(ctx, n, line)
	})
}

func test(ctx context.Context, s *shell, args []string) error {
	if len(args) != 2 || len(args[0]) != 2 || !strings.Contains("-e -d -f -z", args[0]) {
		return usagef("jindo fs -test: requires -e, -d, -f or -z, and one PATH")
	}
	name, err := parsePath(args[1])
	if err != nil {
		return err
	}
	n, err := s.tree.find(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return errFalse
	}
	if err != nil {
		return fmt.Errorf("test: `%s': %s", args[1], message(err))
	}
	holds := map[string]bool{
		"-e": true, "-d": n.entry.Dir, "-f": !n.entry.Dir, "-z": !n.entry.Dir && n.entry.Version.Size == 0,
	}
	if !holds[args[0]] {
		return errFalse
	}
	return nil
}
