package completion

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// program is what kubectl runs to complete the plugin, from PATH.
const program = prefix + "jindo"

// place is where the completion is installed.
type place struct {
	// self is this program.
	self string
	// path are the directories of PATH.
	path []string
	// windows selects a batch file.
	windows bool
}

func newInstall(s *session.Session) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install completion of this plugin for kubectl",
		Long: `Install completion of this plugin for kubectl: write the script ` + program + ` beside this
program, or into a writable directory of PATH. krew cannot install it. The script
removes itself when it finds the plugin uninstalled.`,
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
			s.Say("kubectl's own completion must be set up in the shell too: kubectl completion --help")
			if _, err := fmt.Fprintf(s.Streams.Out, "%s installed\n", at); err != nil {
				return fmt.Errorf("print: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to write it to (default: that of this program, else one of PATH)")
	return cmd
}

// find finds this program as kubectl does, by PATH: krew's link there is the same
// after an upgrade, and its target is not.
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
		return clierror.Generalf("find this program: %w", err)
	}
	p.self = self
	return nil
}

// install writes the completion into the first directory that is writable.
func install(p place, dir string) (at string, err error) {
	candidates := append([]string{filepath.Dir(p.self)}, p.path...)
	if dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return "", clierror.Generalf("find %s: %w", dir, err)
		}
		candidates = []string{absolute}
	}
	var errs []error
	for i, candidate := range candidates {
		if !filepath.IsAbs(candidate) || dir == "" && i == 0 && !onPath(candidate, p.path) {
			continue // kubectl does not find it there
		}
		at, err := p.put(candidate)
		if err == nil {
			return at, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return "", clierror.Generalf("no directory of PATH for %s", program).WithTry("--dir DIRECTORY")
	}
	where := "no directory of PATH is writable"
	if dir != "" {
		where = "cannot install into " + dir
	}
	return "", clierror.Generalf("%s: %w", where, errs[0]).
		WithHint("choose a directory of PATH that you may write to").WithTry("--dir DIRECTORY")
}

func onPath(dir string, path []string) bool {
	for _, entry := range path {
		if entry != "" && filepath.Clean(entry) == filepath.Clean(dir) {
			return true
		}
	}
	return false
}

// file returns the path of the completion program in a directory.
func (p place) file(dir string) string {
	if p.windows {
		return filepath.Join(dir, program+".cmd")
	}
	return filepath.Join(dir, program)
}

// put writes the completion program into a directory. It replaces nothing but an
// earlier one.
func (p place) put(dir string) (at string, err error) {
	at = p.file(dir)
	if info, err := os.Lstat(at); err == nil {
		if !installed(at) {
			return "", fmt.Errorf("%s exists and is not the completion of this plugin: remove it first", at)
		}
		if info.Mode()&os.ModeSymlink != 0 { // as earlier versions installed it
			if err := os.Remove(at); err != nil {
				return "", fmt.Errorf("replace %s: %w", at, err)
			}
		}
	}
	file, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", fmt.Errorf("write the completion: %w", err)
	}
	_, err = io.WriteString(file, p.script())
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", at, err)
	}
	return at, nil
}

// script returns the completion program. krew does not remove it with the plugin,
// so once the plugin is absent it removes itself.
func (p place) script() string {
	if p.windows {
		return "@echo off\r\nif not exist \"" + p.self + "\" (del \"%~f0\" & exit /b 0)\r\n\"" + p.self + "\" __complete %*\r\n"
	}
	self := "'" + strings.ReplaceAll(p.self, "'", `'\''`) + "'"
	return "#!/bin/sh\n# Completes \"kubectl jindo\"; written by \"kubectl jindo completion install\".\n" +
		"[ -x " + self + " ] || { rm -f -- \"$0\"; exit 0; }\nexec " + self + " __complete \"$@\"\n"
}

// installed reports whether a file is a completion program of this plugin: a
// script, or a link to the plugin, dangling or not.
func installed(at string) bool {
	if target, err := os.Readlink(at); err == nil {
		return strings.HasPrefix(filepath.Base(target), "kubectl-jindo")
	}
	raw, err := os.ReadFile(at)
	return err == nil && strings.Contains(string(raw), "kubectl-jindo") && strings.Contains(string(raw), "__complete")
}

func newUninstall(s *session.Session) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the completion that install added",
		Long: `Remove ` + program + ` from the directories of PATH, or from --dir. Run this
before the plugin is uninstalled; krew removes only what it has installed.`,
		Args: session.None,
		RunE: func(*cobra.Command, []string) error {
			p := place{path: filepath.SplitList(s.Getenv("PATH")), windows: runtime.GOOS == "windows"}
			if err := p.find(); err != nil {
				return err
			}
			dirs := append([]string{filepath.Dir(p.self)}, p.path...)
			if dir != "" {
				dirs = []string{dir}
			}
			removed, err := p.remove(dirs)
			if err != nil {
				return clierror.Generalf("%w", err)
			}
			for _, at := range removed {
				if _, err := fmt.Fprintf(s.Streams.Out, "%s removed\n", at); err != nil {
					return fmt.Errorf("print: %w", err)
				}
			}
			if len(removed) == 0 {
				s.Say("%s is not installed", program)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to remove it from (default: that of this program, and those of PATH)")
	return cmd
}

// remove removes the completion programs in the directories and returns their
// paths.
func (p place) remove(dirs []string) ([]string, error) {
	var removed []string
	for _, dir := range dirs {
		at := p.file(dir)
		if !filepath.IsAbs(at) || slices.Contains(removed, at) || !installed(at) {
			continue
		}
		if err := os.Remove(at); err != nil {
			return removed, fmt.Errorf("remove the completion: %w", err)
		}
		removed = append(removed, at)
	}
	return removed, nil
}
