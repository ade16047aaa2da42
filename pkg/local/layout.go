package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSocketPath is the longest path of a unix socket, with its final zero.
const maxSocketPath = 107

// Root returns the directory of the user's local runtimes:
// ${XDG_CACHE_HOME:-~/.cache}/jindo/local.
func Root() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" || !filepath.IsAbs(cache) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the cache directory: %w (set HOME or XDG_CACHE_HOME)", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "jindo", "local"), nil
}

// Layout has the paths of a runtime's files.
type Layout struct {
	// Dir is the state directory: <root>/<namespace>/<runtime>.
	Dir string
	// Namespace and Runtime identify the runtime.
	Namespace, Runtime string
}

// NewLayout returns the layout of a runtime below root.
func NewLayout(root, namespace, runtime string) Layout {
	return Layout{Dir: filepath.Join(root, namespace, runtime), Namespace: namespace, Runtime: runtime}
}

// String returns "namespace/runtime".
func (l Layout) String() string { return l.Namespace + "/" + l.Runtime }

func (l Layout) lockFile() string      { return filepath.Join(l.Dir, "lock") }
func (l Layout) stateFile() string     { return filepath.Join(l.Dir, "state.json") }
func (l Layout) formationFile() string { return filepath.Join(l.Dir, "formation.json") }
func (l Layout) resizeFile() string    { return filepath.Join(l.Dir, "masters.json") }
func (l Layout) authorityDir() string  { return filepath.Join(l.Dir, "ca") }
func (l Layout) credentials() string   { return filepath.Join(l.Dir, "credentials") }
func (l Layout) sockets() string       { return filepath.Join(l.Dir, "sockets") }
func (l Layout) session() string       { return filepath.Join(l.sockets(), "session.sock") }
func (l Layout) logs() string          { return filepath.Join(l.Dir, "logs") }
func (l Layout) tls() string           { return filepath.Join(l.Dir, "tls") }

// Roster returns the file with the members.
func (l Layout) Roster() string { return filepath.Join(l.Dir, "roster.json") }

// TLS returns the directory of a component's certificate, or of [Admin]'s.
func (l Layout) TLS(component string) string { return filepath.Join(l.tls(), component) }

// Log returns the log file of a component.
func (l Layout) Log(component string) string { return filepath.Join(l.logs(), component+".log") }

// Mountpoint returns the default mount point.
func (l Layout) Mountpoint() string { return filepath.Join(l.Dir, "mount") }

func (l Layout) data(component string) string { return filepath.Join(l.Dir, "data", component) }

func (l Layout) tier(worker string, i int) string {
	return filepath.Join(l.Dir, "tiers", worker, fmt.Sprint(i))
}

// tierDirs returns the directories of the tiers of all workers.
func (l Layout) tierDirs() []string {
	dirs, err := filepath.Glob(filepath.Join(l.Dir, "tiers", "*", "*"))
	if err != nil {
		return nil // The pattern is valid.
	}
	return dirs
}

// checkSockets returns an error if the paths of the sockets are too long.
func (l Layout) checkSockets(components []string) error {
	longest := l.session()
	for _, name := range components {
		if path := filepath.Join(l.sockets(), name+".sock"); len(path) > len(longest) {
			longest = path
		}
	}
	if len(longest) > maxSocketPath {
		return fmt.Errorf("the path of the state directory is %d characters too long for a unix socket (%s): set XDG_CACHE_HOME to a shorter directory",
			len(longest)-maxSocketPath, longest)
	}
	return nil
}

// Exists reports whether the runtime has a state directory: it runs, or data of
// an earlier run is kept.
func (l Layout) Exists() (bool, error) {
	there, err := exists(l.lockFile())
	if err != nil {
		return false, fmt.Errorf("reading the state directory of %s: %w", l, err)
	}
	return there, nil
}

// List returns the runtimes with a state directory below root, ordered by name;
// namespace "" means all namespaces.
func List(root, namespace string) ([]Layout, error) {
	pattern := namespace
	if pattern == "" {
		pattern = "*"
	}
	found, err := filepath.Glob(filepath.Join(root, pattern, "*", "lock"))
	if err != nil {
		return nil, fmt.Errorf("list local runtimes in %s: %w", root, err)
	}
	layouts := make([]Layout, 0, len(found))
	for _, path := range found {
		relative, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return nil, fmt.Errorf("list local runtimes in %s: %w", root, err)
		}
		ns, name, ok := strings.Cut(relative, string(filepath.Separator))
		if ok {
			layouts = append(layouts, NewLayout(root, ns, name))
		}
	}
	return layouts, nil
}

// exists reports whether a file exists; err means that this is unknown.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
