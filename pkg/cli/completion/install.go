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

// program is the name that kubectl looks up in PATH.
const program = prefix + "jindo"

// place describes where to install.
type place struct {
	// self is the path of this program.
	self string
	// path holds the directories of PATH.
	path []string
	// windows selects a script instead of a symbolic link.
	windows bool
}

func newInstall(s *session.Session) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install completion of this plugin for kubectl",
		Long: `Install completion of this plugin for kubectl: create ` + program + `, a link to
this program, beside it or in a writable directory of PATH. krew cannot do this.`,
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
			s.Say("kubectl's own completion must be set up in the shell as well: see kubectl completion --help")
			if _, err := fmt.Fprintf(s.Streams.Out, "%s installed\n", at); err != nil {
				return fmt.Errorf("print the result: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to install to (default: beside this program, or a directory of PATH)")
	return cmd
}

// find finds this program in PATH, as kubectl does: the link that krew created
// there stays valid when the plugin is upgraded, its target does not.
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
		return clierror.Generalf("locating this program: %w", err)
	}
	p.self = self
	return nil
}

// install installs to the first directory that it can write to, and returns the
// path. Installing again changes nothing.
func install(p place, dir string) (at string, err error) {
	candidates := append([]string{filepath.Dir(p.self)}, p.path...)
	if dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return "", clierror.Generalf("resolving %s: %w", dir, err)
		}
		candidates = []string{absolute}
	}
	var errs []error
	for i, candidate := range candidates {
		if !filepath.IsAbs(candidate) || dir == "" && i == 0 && !onPath(candidate, p.path) {
			continue // not searched by kubectl
		}
		at, err := p.link(candidate)
		if err == nil {
			return at, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return "", clierror.Generalf("PATH has no directory to install %s to", program).WithTry("--dir DIRECTORY")
	}
	where := "installing to a directory of PATH"
	if dir != "" {
		where = "installing to " + dir
	}
	return "", clierror.Generalf("%s: %w", where, errs[0]).
		WithHint("create the link yourself in a writable directory of PATH").
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

// link creates the link in a directory. It replaces no other file.
func (p place) link(dir string) (at string, err error) {
	if p.windows {
		return p.writeScript(filepath.Join(dir, program+".cmd"))
	}
	at = filepath.Join(dir, program)
	switch info, err := os.Lstat(at); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("inspect %s: %w", at, err)
	case info.Mode()&os.ModeSymlink == 0:
		return "", fmt.Errorf("%s exists and is not a link: remove it first", at)
	default:
		if target, err := os.Readlink(at); err == nil && target == p.self {
			return at, nil
		}
		if err := os.Remove(at); err != nil {
			return "", fmt.Errorf("replace %s: %w", at, err)
		}
	}
	if err := os.Symlink(p.self, at); err != nil {
		return "", fmt.Errorf("create the link: %w", err)
	}
	return at, nil
}

// writeScript writes a script in place of a link, for which Windows requires a
// privilege.
func (p place) writeScript(at string) (string, error) {
	text := "@echo off\r\n\"" + p.self + "\" __complete %*\r\n"
	if old, err := os.ReadFile(at); err == nil && !strings.Contains(string(old), "__complete") {
		return "", fmt.Errorf("%s exists and is another program: remove it first", at)
	}
	file, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", fmt.Errorf("write the script: %w", err)
	}
	_, err = io.WriteString(file, text)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", at, err)
	}
	return at, nil
}
