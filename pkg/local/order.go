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

// Order is what a supervisor is told to run. It holds credentials: it goes
// through a pipe and never to a disk.
type Order struct {
	Plan plan.Plan `json:"plan"`
	// Root of all state directories; see [Root].
	Root string `json:"root"`
	// Secrets by the mounts' secret references, then by option.
	Secrets map[string]map[string]string `json:"secrets"`
	// Mountpoint of the FUSE mount; "" is a directory of the runtime's own.
	Mountpoint string `json:"mountpoint"`
	// NoMount leaves the FUSE mount and its server out.
	NoMount bool `json:"noMount"`
	// Binaries by the names the plan uses.
	Binaries map[string]string `json:"binaries"`
}

// Layout of the runtime that is ordered.
func (o *Order) Layout() Layout { return NewLayout(o.Root, o.Plan.Namespace, o.Plan.Name) }

func (o *Order) mountpoint() string { return cmp.Or(o.Mountpoint, o.Layout().Mountpoint()) }

// components that are to run.
func (o *Order) components() []*plan.Component {
	var components []*plan.Component
	for _, c := range o.Plan.Components() {
		if c.Role != plan.RoleFuse || !o.NoMount {
			components = append(components, c)
		}
	}
	return components
}

// digest tells two orders apart without showing what is in them.
func (o *Order) digest() (string, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("encoding the order: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}

// FindBinaries finds the programs of the given names: in dir when one is given
// and nowhere else, else beside this program, else on PATH as jindo-<name>.
// The error names all that are missing.
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

// MissingError names programs that were not found.
type MissingError struct {
	Binaries []string
	// Where they were looked for.
	Where string
}

// Error names all that are missing.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s not found %s", strings.Join(e.Binaries, ", "), e.Where)
}

// Errors that callers branch on.
var (
	// ErrOther: the runtime runs already, by other manifests or options.
	ErrOther = errors.New("it runs already, by other manifests or options")
	// ErrUnsupported: this is not Linux.
	ErrUnsupported = errors.New("running on one machine needs Linux")
	// ErrNoMount: this machine cannot mount; everything else would run.
	ErrNoMount = errors.New("no mount is possible")
)

// KeptMastersError reports that the data of a runtime is of another number of
// masters than the manifest asks for.
type KeptMastersError struct {
	// Kept and Want are numbers of masters.
	Kept, Want int
	// Dir is the state directory.
	Dir string
}

// Error names the field to change.
func (e *KeptMastersError) Error() string {
	return fmt.Sprintf("spec.master.replicas is %d, but %s holds the log of %d masters", e.Want, e.Dir, e.Kept)
}

// MountpointError reports a directory at which nothing can be mounted.
type MountpointError struct {
	Path string
	Err  error
}

// Error names the directory and the cause.
func (e *MountpointError) Error() string { return fmt.Sprintf("mount point %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *MountpointError) Unwrap() error { return e.Err }

// PendingError says what was missing when the time was up. The runtime goes on
// coming up.
type PendingError struct {
	// After this long.
	After   time.Duration
	Missing []Condition
	// Logs are the last lines of the components to suspect.
	Logs []Excerpt
}

// Excerpt of a log.
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

// UpOptions of Up.
type UpOptions struct {
	Order Order
	// Self are the words that run this program's hidden commands: "supervise"
	// and "guard" are appended.
	Self []string
	// Timeout of the wait until everything is ready.
	Timeout time.Duration
	// SkipStoreCheck starts the runtime although a store may be unreachable.
	SkipStoreCheck bool
	// Progress is told of every new state; may be nil.
	Progress func(State)
}

// BinaryNames are the programs that the order needs, each once.
func (o *Order) BinaryNames() []string {
	var names []string
	for _, c := range o.components() {
		names = append(names, c.Binary)
	}
	return names
}
