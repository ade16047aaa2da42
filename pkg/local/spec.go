package local

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/plan"
)

// Spec is what a supervisor runs. It contains credentials, so it is passed through
// a pipe and never written to a disk.
type Spec struct {
	Plan plan.Plan `json:"plan"`
	// Root of all state directories; see [Root].
	Root string `json:"root"`
	// Secrets maps the mounts' secret references, then options, to values.
	Secrets map[string]map[string]string `json:"secrets"`
	// Mountpoint of the FUSE mount; "" is [Layout.Mountpoint].
	Mountpoint string `json:"mountpoint"`
	// NoMount omits the FUSE mount and its server.
	NoMount bool `json:"noMount"`
	// Binaries are the paths of the programs, by the names in the plan.
	Binaries map[string]string `json:"binaries"`
}

// Layout returns the layout of the runtime.
func (s *Spec) Layout() Layout { return NewLayout(s.Root, s.Plan.Namespace, s.Plan.Name) }

func (s *Spec) mountpoint() string { return cmp.Or(s.Mountpoint, s.Layout().Mountpoint()) }

// components returns the components to run.
func (s *Spec) components() []*plan.Component {
	var components []*plan.Component
	for _, c := range s.Plan.Components() {
		if c.Role != plan.RoleFuse || !s.NoMount {
			components = append(components, c)
		}
	}
	return components
}

// digest identifies a spec without revealing its content.
func (s *Spec) digest() (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode the spec: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}

// FindBinaries returns the paths of the programs with the given names. It searches
// only dir if that is given, else the directory of this program, then PATH for
// jindo-<name>. The error is a *MissingError that names all missing programs.
func FindBinaries(dir string, names []string) (map[string]string, error) {
	beside := ""
	if self, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(self); err == nil {
			self = resolved
		}
		beside = filepath.Dir(self)
	}
	found := map[string]string{}
	var missing []string
	for _, name := range names {
		path, ok := findBinary(dir, beside, name)
		if !ok {
			missing = append(missing, name)
			continue
		}
		found[name] = path
	}
	if len(missing) == 0 {
		return found, nil
	}
	where := fmt.Sprintf("beside this program (%s) nor on PATH as jindo-%s", beside, missing[0])
	if dir != "" {
		where = "in " + dir
	}
	return nil, &MissingError{Binaries: missing, Where: where}
}

func findBinary(dir, beside, name string) (string, bool) {
	if dir != "" {
		return executable(filepath.Join(dir, name))
	}
	if path, ok := executable(filepath.Join(beside, name)); ok {
		return path, true
	}
	path, err := exec.LookPath("jindo-" + name)
	if err != nil {
		return "", false
	}
	return path, true
}

func executable(path string) (string, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", false
	}
	absolute, err := filepath.Abs(path)
	return absolute, err == nil
}

// MissingError reports programs that were not found.
type MissingError struct {
	Binaries []string
	// Where they were searched.
	Where string
}

// Error names all missing programs.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s not found %s", strings.Join(e.Binaries, ", "), e.Where)
}

// Errors that callers branch on.
var (
	// ErrOther means that the runtime runs with other manifests or options.
	ErrOther = errors.New("already running with other manifests or options")
	// ErrUnsupported means that the operating system is not Linux.
	ErrUnsupported = errors.New("local runtimes require Linux")
	// ErrNoMount means that this machine cannot mount. Everything else can run.
	ErrNoMount = errors.New("mounting is not possible")
)

// MountpointError reports a directory at which nothing can be mounted.
type MountpointError struct {
	Path string
	Err  error
}

// Error names the directory and the cause.
func (e *MountpointError) Error() string { return fmt.Sprintf("mount point %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *MountpointError) Unwrap() error { return e.Err }

// PendingError reports what was missing when the timeout passed. The processes
// keep running.
type PendingError struct {
	// After is the timeout.
	After   time.Duration
	Missing []Condition
	// Logs are the last lines of the components that may be the cause.
	Logs []Excerpt
}

// Excerpt holds the last lines of a log.
type Excerpt struct {
	Component string
	Lines     []string
}

// Error names what is missing.
func (e *PendingError) Error() string {
	details := make([]string, len(e.Missing))
	for i, c := range e.Missing {
		details[i] = c.Name + ": " + c.Detail
	}
	return fmt.Sprintf("not ready after %v: %s", e.After, strings.Join(details, "; "))
}

// UpOptions are the options of Up.
type UpOptions struct {
	Spec Spec
	// Self are the words that run this program's hidden commands; "supervise"
	// or "guard" is appended.
	Self []string
	// Timeout of the wait until everything is ready.
	Timeout time.Duration
	// SkipStoreCheck starts the runtime although a store may be unreachable.
	SkipStoreCheck bool
	// Progress, unless nil, is called with every new state.
	Progress func(State)
}

// BinaryNames returns the names of the programs that the spec requires.
func (s *Spec) BinaryNames() []string {
	var names []string
	for _, c := range s.components() {
		names = append(names, c.Binary)
	}
	return names
}
