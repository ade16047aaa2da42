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

// StateVersion of the file's format.
const StateVersion = 1

// Phase of a local runtime.
type Phase string

// The phases, in their order.
const (
	Starting Phase = "Starting"
	Ready    Phase = "Ready"
	Stopping Phase = "Stopping"
	// Stopped runtimes have a state directory and no state file.
	Stopped Phase = "Stopped"
)

// ProcessID names one process for good within one boot: a pid is reused, a pid
// together with its start time is not.
type ProcessID struct {
	// PID of the process.
	PID int `json:"pid"`
	// Start in clock ticks since boot, as /proc/<pid>/stat has it.
	Start uint64 `json:"start"`
}

// State is what the supervisor knows, for everybody who asks what runs and for
// whoever has to remove it. It is there exactly while something runs or has
// been left by a killed run.
type State struct {
	// Version of this format.
	Version int `json:"version"`
	// Namespace of the JindoRuntime.
	Namespace string `json:"namespace"`
	// Runtime is its name.
	Runtime string `json:"runtime"`
	// Dataset bound to the runtime; empty when none is.
	Dataset string `json:"dataset,omitempty"`
	// Boot is the machine's boot id; process ids of another boot are void.
	Boot string `json:"boot"`
	// Supervisor starts what ends.
	Supervisor ProcessID `json:"supervisor"`
	// Guard ends everything when the supervisor is killed.
	Guard ProcessID `json:"guard"`
	// Phase is how far the runtime has come.
	Phase Phase `json:"phase"`
	// Started is when the supervisor was.
	Started time.Time `json:"started"`
	// Order is a digest of the plan and options this runs.
	Order string `json:"order"`
	// Network is the addresses that its components listen on.
	Network string `json:"network"`
	// Mountpoint of the Dataset's files; empty without one.
	Mountpoint string `json:"mountpoint,omitempty"`
	// MadeMountpoint: the directory was made for the mount and goes with it.
	MadeMountpoint bool `json:"madeMountpoint,omitempty"`
	// Components are the supervised processes.
	Components []ComponentState `json:"components"`
	// Conditions that make up Ready, in the order they come true.
	Conditions []Condition `json:"conditions"`
	// Notices for whoever started this, a sentence each.
	Notices []string `json:"notices,omitempty"`
}

// ComponentState is one supervised process.
type ComponentState struct {
	// Name is the pod's on Kubernetes: "hadoop-jindofs-master-0".
	Name string `json:"name"`
	// Role is master, worker or fuse.
	Role string `json:"role"`
	// Process is zero while the component is not running.
	Process ProcessID `json:"process"`
	// Since the process was started.
	Since time.Time `json:"since,omitzero"`
	// Starts counts them; 1 means it was never restarted.
	Starts int `json:"starts"`
	// LastExit says how it ended the last time: "killed by SIGKILL".
	LastExit string `json:"lastExit,omitempty"`
	// Health is host:port of health checks and metrics.
	Health string `json:"health,omitempty"`
	// Log is the file that it writes to.
	Log string `json:"log"`
}

// Condition is one thing that must hold for the runtime to be Ready.
type Condition struct {
	// Name is one of leader, voters, workers, mounts, fuse.
	Name string `json:"name"`
	// Met says whether it holds.
	Met bool `json:"met"`
	// Detail says what holds, or what is missing, for people.
	Detail string `json:"detail"`
	// Suspects are the components to look at while it does not hold.
	Suspects []string `json:"suspects,omitempty"`
}

// Component finds the state of one component.
func (s State) Component(name string) (ComponentState, bool) {
	for _, c := range s.Components {
		if c.Name == name {
			return c, true
		}
	}
	return ComponentState{}, false
}

// Missing are the conditions that do not hold.
func (s State) Missing() []Condition {
	var missing []Condition
	for _, c := range s.Conditions {
		if !c.Met {
			missing = append(missing, c)
		}
	}
	return missing
}

// DecodeState reads state.json. What it answers is safe to act on: process ids
// are positive or zero as a whole.
func DecodeState(raw []byte) (State, error) {
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return State{}, fmt.Errorf("decoding the state: %w", err)
	}
	if s.Version != StateVersion {
		return State{}, fmt.Errorf("the state has version %d, this build reads version %d", s.Version, StateVersion)
	}
	for _, id := range s.processes() {
		// 0 and negative pids address groups of processes.
		if id.PID < 2 || id.Start == 0 {
			return State{}, fmt.Errorf("the state names process %d started at %d, which cannot be", id.PID, id.Start)
		}
	}
	return s, nil
}

// processes are all that the state names: components first, the supervisor
// last.
func (s State) processes() []ProcessID {
	var ids []ProcessID
	for _, c := range s.Components {
		ids = append(ids, c.Process)
	}
	ids = append(ids, s.Guard, s.Supervisor)
	named := ids[:0]
	for _, id := range ids {
		if id != (ProcessID{}) {
			named = append(named, id)
		}
	}
	return named
}

// ReadState reads what the supervisor wrote last; found is false when nothing
// runs and nothing was left.
func ReadState(l Layout) (state State, found bool, err error) {
	raw, err := os.ReadFile(l.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, false, nil
	}
	if err != nil {
		return State{}, false, fmt.Errorf("reading the state of %s: %w", l, err)
	}
	state, err = DecodeState(raw)
	if err != nil {
		return State{}, false, fmt.Errorf("reading %s: %w", l.stateFile(), err)
	}
	return state, true, nil
}

func (s State) save(l Layout) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the state: %w", err)
	}
	return atomicfile.Write(l.stateFile(), append(raw, '\n'), 0o600)
}
