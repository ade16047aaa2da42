package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// treePattern is what grep searches for.
const treePattern = "context.Context"

// tree measures programs that read a source tree: grep -r, cold and warm, and git
// status.
func tree(ctx context.Context, r *run) ([]report, error) {
	l, err := r.openWith(ctx, setup{
		name: "tree", cacheMiB: 4 << 10, loadLimit: 2 * time.Minute,
		write: func(ctx context.Context, dir string) error {
			return writeTrees(ctx, dir, filepath.Join(r.dir, "clone"), r.repetitions)
		},
	})
	if err != nil {
		return nil, err
	}
	files, err := filesBelow(filepath.Join(l.source, treeName(0)))
	if err != nil {
		return nil, err
	}
	// The store has the trees in memory after this.
	lines := 0
	for n := range r.repetitions {
		if lines, err = grep(ctx, filepath.Join(l.source, treeName(n))); err != nil {
			return nil, err
		}
	}
	searched := func(ctx context.Context, c contender, n int) (work, error) {
		return timed(len(files), func() error { return grepLines(ctx, filepath.Join(c.root, treeName(n)), lines) })
	}
	notes := fmt.Sprintf("grep -r for a fixed string in a clone of this repository, %d files with those of git, one process. The lines that it finds are counted and compared.", len(files))
	cold := treeContest("tree-grep-cold", "grep -r of a source tree, cold", notes+" No contender has read the tree before; the store responds after 20 ms.")
	restore := l.shape(shaped)
	err = l.race(ctx, r.repetitions, cold, func(c contender) bool { return !c.limit }, nil, searched, thousandBytes)
	restore()
	if err != nil {
		return nil, fmt.Errorf("grep, cold: %w", err)
	}
	caches := func(c contender) bool { return c.caches }
	warm := treeContest("tree-grep-warm", "grep -r of a source tree, warm", notes+" The tree was searched before.")
	err = l.race(ctx, r.repetitions, warm, caches, nil,
		func(ctx context.Context, c contender, _ int) (work, error) { return searched(ctx, c, 0) }, thousandBytes)
	if err != nil {
		return nil, fmt.Errorf("grep, warm: %w", err)
	}
	status := treeContest("tree-git-status", "git status of a source tree, warm",
		fmt.Sprintf("git status of a clone of this repository, %d files with those of git. The attributes differ from those in git's index, so that git reads every file; it must find no change.", len(files)))
	err = l.race(ctx, r.repetitions, status, caches, nil, func(ctx context.Context, c contender, _ int) (work, error) {
		return timed(len(files), func() error { return gitStatus(ctx, filepath.Join(c.root, treeName(0))) })
	}, thousandBytes)
	if err != nil {
		return nil, fmt.Errorf("git status: %w", err)
	}
	for _, c := range []*contest{cold, warm, status} {
		c.withoutFetched() // the loads count files, not bytes
	}
	return []report{cold, warm, status}, nil
}

func treeName(n int) string { return fmt.Sprintf("tree-%d", n) }

func treeContest(name, title, notes string) *contest {
	return &contest{Name: name, Title: title, Unit: "s", Per: "1,000 files", Lower: true, Notes: notes}
}

// timed makes a figure of the duration of a load that reads a number of files.
func timed(files int, do func() error) (work, error) {
	begin := time.Now()
	err := do()
	return work{amount: time.Since(begin).Seconds(), seconds: 1, bytes: int64(files)}, err
}

// writeTrees clones this repository and copies the clone into a number of
// directories. The store keeps neither modes nor empty directories.
func writeTrees(ctx context.Context, dir, clone string, count int) error {
	top, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(clone); err != nil {
		return err
	}
	if _, err := git(ctx, ".", "clone", "--quiet", "--template=", "--depth=1", "file://"+string(bytes.TrimSpace(top)), clone); err != nil {
		return err
	}
	defer os.RemoveAll(clone)
	for _, words := range [][]string{
		// A branch, so that the directory of references is not empty.
		{"checkout", "--quiet", "-B", "bench"},
		{"config", "core.fileMode", "false"},
	} {
		if _, err := git(ctx, clone, words...); err != nil {
			return err
		}
	}
	files, err := filesBelow(clone)
	if err != nil {
		return err
	}
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(clone, name))
		if err != nil {
			return err
		}
		for n := range count {
			if err := writeObject(filepath.Join(dir, treeName(n), name), content); err != nil {
				return err
			}
		}
	}
	return nil
}

// filesBelow returns the regular files below a directory, relative to it.
func filesBelow(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, name)
		return err
	})
	return files, err
}

func git(ctx context.Context, dir string, words ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", dir}, words...)...)
	// The index cannot be written on a mount that is read-only.
	command.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0")
	return outputOf(command)
}

func outputOf(command *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, firstLine(stderr.Bytes()))
	}
	return out, nil
}

// gitStatus returns an error unless the tree is as it was committed.
func gitStatus(ctx context.Context, dir string) error {
	changes, err := git(ctx, dir, "status", "--porcelain")
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		return fmt.Errorf("git status reports a change: %s", firstLine(changes))
	}
	return nil
}

// grep returns the number of lines that have the pattern.
func grep(ctx context.Context, dir string) (int, error) {
	out, err := outputOf(exec.CommandContext(ctx, "grep", "-rFh", treePattern, dir))
	if err != nil {
		return 0, err
	}
	if len(out) == 0 {
		return 0, errors.New("grep found nothing")
	}
	return bytes.Count(out, []byte("\n")), nil
}

func grepLines(ctx context.Context, dir string, want int) error {
	lines, err := grep(ctx, dir)
	if err == nil && lines != want {
		err = fmt.Errorf("grep found %d lines of %d", lines, want)
	}
	return err
}
