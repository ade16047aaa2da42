package completion

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// program that kubectl looks for on PATH.
const program = prefix + "jindo"

// place to install in.
type place struct {
	// self is this program.
	self string
	// path are the directories of PATH.
	path []string
	// windows links by a script.
	windows bool
}

func newInstall(s *session.Session) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Let kubectl complete this plugin",
		Long: `Let kubectl complete this plugin: put ` + program + `, which is this program under
another name, beside it or into a directory of PATH that may be written to.
krew cannot do this by itself.`,
		Args: session.None,
		RunE: func(*cobra.Command, []string) error {
			p := place{path: filepath.SplitList(s.Getenv("PATH")), windows: runtime.GOOS == "windows"}
			if err := p.find(); err != nil {
				return err
			}
			at, err := install(p, dir)
			if err != nil {
				return err
			}
			s.Say("kubectl's own completion has to be set up in the shell as well: kubectl completion --help")
			if _, err := fmt.Fprintf(s.Streams.Out, "%s installed\n", at); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to put it into (default: beside this program, else a directory of PATH)")
	return cmd
}

// find this program as kubectl does, by PATH: what krew has put there stays the
// same when the plugin is upgraded, and where that leads does not.
func (p *place) find() error {
	name := "kubectl-jindo"
	if p.windows {
		name += ".exe"
	}
	for _, dir := range p.path {
		if !filepath.IsAbs(dir) {
			continue
		}
		at := filepath.Join(dir, name)
		if info, err := os.Stat(at); err == nil && !info.IsDir() {
			p.self = at
			return nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return clierror.Generalf("finding this program: %w", err)
	}
	p.self = self
	return nil
}

// install tries one directory after the other; installing again is no change.
func install(p place, dir string) (at string, err error) {
	candidates := append([]string{filepath.Dir(p.self)}, p.path...)
	if dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return "", clierror.Generalf("finding %s: %w", dir, err)
		}
		candidates = []string{absolute}
	}
	var errs []error
	for i, candidate := range candidates {
		if !filepath.IsAbs(candidate) || dir == "" && i == 0 && !onPath(candidate, p.path) {
			continue // kubectl would not find it there
		}
		at, err := p.put(candidate)
		if err == nil {
			return at, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return "", clierror.Generalf("PATH names no directory to put %s into", program).WithTry("--dir DIRECTORY")
	}
	where := "no directory of PATH will take it"
	if dir != "" {
		where = "it cannot be put into " + dir
	}
	return "", clierror.Generalf("%s: %w", where, errs[0]).
		WithHint("make it where you may write, in a directory of PATH").
		WithTry("ln -s %s DIRECTORY/%s", p.self, program)
}

func onPath(dir string, path []string) bool {
	for _, entry := range path {
		if entry != "" && filepath.Clean(entry) == filepath.Clean(dir) {
			return true
		}
	}
	return false
}

// put the program into a directory, where it replaces nothing but itself.
func (p place) put(dir string) (at string, err error) {
	if p.windows {
		return p.putScript(filepath.Join(dir, program+".cmd"))
	}
	at = filepath.Join(dir, program)
	switch info, err := os.Lstat(at); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("looking at %s: %w", at, err)
	case info.Mode()&os.ModeSymlink == 0:
		return "", fmt.Errorf("%s is there already and is no link: remove it first", at)
	default:
		if target, err := os.Readlink(at); err == nil && target == p.self {
			return at, nil
		}
		if err := os.Remove(at); err != nil {
			return "", fmt.Errorf("replacing %s: %w", at, err)
		}
	}
	if err := os.Symlink(p.self, at); err != nil {
		return "", fmt.Errorf("linking: %w", err)
	}
	return at, nil
}

// putScript is for a system where links take a right that few have.
func (p place) putScript(at string) (string, error) {
	text := "@echo off\r\n\"" + p.self + "\" __complete %*\r\n"
	if old, err := os.ReadFile(at); err == nil && !strings.Contains(string(old), "__complete") {
		return "", fmt.Errorf("%s is there already and is something else: remove it first", at)
	}
	file, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", fmt.Errorf("writing: %w", err)
	}
	_, err = io.WriteString(file, text)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("writing %s: %w", at, err)
	}
	return at, nil
}
