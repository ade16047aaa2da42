package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// StateVersion is the version of the file format.
const StateVersion = 1

// Phase is the progress of a local runtime.
type Phase string

// The phases, in their order.
const (
	Starting Phase = "Starting"
	Ready    Phase = "Ready"
	Stopping Phase = "Stopping"
	// Stopped runtimes have a state directory and no state file.
	Stopped Phase = "Stopped"
)

// ProcessID identifies one process within one boot: a pid is reused, but not
// together with its start time.
type ProcessID struct {
	// PID of the process.
	PID int `json:"pid"`
	// Start time in clock ticks since boot, as in /proc/<pid>/stat.
	Start uint64 `json:"start"`
}

// State is what the supervisor has recorded. It exists while something runs, or
// while a killed run has left something to remove.
type State struct {
	// Version of this format.
	Version int `json:"version"`
	// Namespace of the JindoRuntime.
	Namespace string `json:"namespace"`
	// Runtime is its name.
	Runtime string `json:"runtime"`
	// Dataset is the Dataset bound to the runtime; empty when none is.
	Dataset string `json:"dataset,omitempty"`
	// Boot is the machine's boot id; process ids of another boot are invalid.
	Boot string `json:"boot"`
	// Supervisor restarts components that end.
	Supervisor ProcessID `json:"supervisor"`
	// Reaper is the orphan reaper, which cleans up if the supervisor is killed.
	Reaper ProcessID `json:"guard"`
	// Phase is the progress of the runtime.
	Phase Phase `json:"phase"`
	// Started is the start time of the supervisor.
	Started time.Time `json:"started"`
	// Order is a digest of the plan and the options.
	Order string `json:"order"`
	// Fixed is a digest of what cannot be changed while the runtime runs: all but the
	// number of masters.
	Fixed string `json:"fixed,omitempty"`
	// Network contains the addresses of the components.
	Network string `json:"network"`
	// Mountpoint of the Dataset's files; empty without a mount.
	Mountpoint string `json:"mountpoint,omitempty"`
	// MadeMountpoint means that the directory was created for the mount and
	// will be removed with it.
	MadeMountpoint bool `json:"madeMountpoint,omitempty"`
	// Components are the supervised processes.
	Components []ComponentState `json:"components"`
	// Conditions that together make the runtime Ready.
	Conditions []Condition `json:"conditions"`
	// Notices are for the user, one sentence each.
	Notices []string `json:"notices,omitempty"`
}

// ComponentState is one supervised process.
type ComponentState struct {
	// Name is the pod's on Kubernetes: "hadoop-jindofs-master-0".
	Name string `json:"name"`
	// Role is master, worker or fuse.
	Role string `json:"role"`
	// Process is zero while the component does not run.
	Process ProcessID `json:"process"`
	// Since is the start time of the process.
	Since time.Time `json:"since,omitzero"`
	// Starts counts the starts; 1 means that it was never restarted.
	Starts int `json:"starts"`
	// LastExit is how it last ended: "killed by SIGKILL".
	LastExit string `json:"lastExit,omitempty"`
	// Health is the host:port of health checks and metrics.
	Health string `json:"health,omitempty"`
	// Log is the component's log file.
	Log string `json:"log"`
}

// Condition is one of the requirements for Ready.
type Condition struct {
	// Name is one of leader, voters, workers, mounts, fuse.
	Name string `json:"name"`
	// Met reports whether it holds.
	Met bool `json:"met"`
	// Detail is a message about what holds or is missing.
	Detail string `json:"detail"`
	// Suspects are the components that may be the cause if it does not hold.
	Suspects []string `json:"suspects,omitempty"`
}

// Component returns the state of one component.
func (s State) Component(name string) (ComponentState, bool) {
	for _, c := range s.Components {
		if c.Name == name {
			return c, true
		}
	}
	return ComponentState{}, false
}

// Missing returns the conditions that do not hold.
func (s State) Missing() []Condition {
	var missing []Condition
	for _, c := range s.Conditions {
		if !c.Met {
			missing = append(missing, c)
		}
	}
	return missing
}

// DecodeState parses state.json. The result is safe to act on: process ids are
// positive, or zero as a whole.
func DecodeState(raw []byte) (State, error) {
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return State{}, fmt.Errorf("decode the state: %w", err)
	}
	if s.Version != StateVersion {
		return State{}, fmt.Errorf("the state has version %d, but this program supports version %d", s.Version, StateVersion)
	}
	for _, id := range s.processes() {
		// 0 and negative pids address process groups.
		if id.PID < 2 || id.Start == 0 {
			return State{}, fmt.Errorf("invalid process id in the state: pid %d, started at %d", id.PID, id.Start)
		}
	}
	return s, nil
}

// processes returns all process ids of the state: components first, the supervisor
// last.
func (s State) processes() []ProcessID {
	var ids []ProcessID
	for _, c := range s.Components {
		ids = append(ids, c.Process)
	}
	ids = append(ids, s.Reaper, s.Supervisor)
	named := ids[:0]
	for _, id := range ids {
		if id != (ProcessID{}) {
			named = append(named, id)
		}
	}
	return named
}

// ReadState reads the state that the supervisor wrote last; found is false if
// nothing runs and nothing was left.
func ReadState(l Layout) (state State, found bool, err error) {
	raw, err := os.ReadFile(l.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, false, nil
	}
	if err != nil {
		return State{}, false, fmt.Errorf("read the state of %s: %w", l, err)
	}
	state, err = DecodeState(raw)
	if err != nil {
		return State{}, false, fmt.Errorf("read %s: %w", l.stateFile(), err)
	}
	return state, true, nil
}

func (s State) save(l Layout) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	return atomicfile.Write(l.stateFile(), append(raw, '\n'), 0o600)
}
