package jindocli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/local"
)

// Paths of the files inside pods.
const (
	defaultRoster = "/etc/jindo/roster.json"
	defaultTLSDir = "/etc/jindo/tls"
)

// defaultTimeout limits a command that transfers no data.
const defaultTimeout = 30 * time.Second

// parseSettings returns the settings that precede the command, and the remaining
// words. Defaults come from the environment.
func parseSettings(args []string, getenv func(string) string) (Settings, []string, error) {
	settings := Settings{Roster: getenv("JINDO_ROSTER"), TLSDir: getenv("JINDO_TLS_DIR"), Name: getenv("POD_NAME"), Timeout: defaultTimeout}
	for len(args) > 0 {
		name, value, inline := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
		if !strings.HasPrefix(args[0], "-") || !isSetting(name) {
			return settings, args, nil
		}
		args = args[1:]
		if !inline {
			if len(args) == 0 {
				return settings, nil, usagef("--%s requires a value", name)
			}
			value, args = args[0], args[1:]
		}
		if err := settings.set(name, value); err != nil {
			return settings, nil, err
		}
	}
	return settings, args, nil
}

func isSetting(name string) bool {
	return name == "roster" || name == "tls-dir" || name == "timeout"
}

func (s *Settings) set(name, value string) error {
	switch name {
	case "roster":
		s.Roster = value
	case "tls-dir":
		s.TLSDir = value
	case "timeout":
		timeout, err := time.ParseDuration(value)
		if err != nil || timeout <= 0 {
			return usagef("invalid --timeout %q: must be a duration above zero, such as 30s", value)
		}
		s.Timeout = timeout
	}
	return nil
}

// locate completes the settings: those that were given, else the files of a pod,
// else the only runtime of this machine.
func (s Settings) locate() (Settings, error) {
	if s.Roster == "" && s.TLSDir == "" {
		if _, err := os.Stat(defaultRoster); errors.Is(err, fs.ErrNotExist) {
			return s.locateLocal()
		}
	}
	if s.Roster == "" {
		s.Roster = defaultRoster
	}
	if s.TLSDir == "" {
		s.TLSDir = defaultTLSDir
	}
	return s, nil
}

// locateLocal returns the settings of the only runtime that runs on this machine.
func (s Settings) locateLocal() (Settings, error) {
	root, err := local.Root()
	if err != nil {
		return s, err
	}
	layouts, err := local.List(root, "")
	if err != nil {
		return s, err
	}
	var running []local.Layout
	for _, l := range layouts {
		if state, found, err := local.ReadState(l); err == nil && found && local.Running(state) {
			running = append(running, l)
		}
	}
	switch len(running) {
	case 0:
		return s, fmt.Errorf("cluster not found: %s does not exist and no runtime runs on this machine; give --roster FILE and --tls-dir DIR, which are %s and %s inside pods",
			defaultRoster, defaultRoster, defaultTLSDir)
	case 1:
	default:
		return s, ambiguous(running)
	}
	s.Roster, s.TLSDir = running[0].Roster(), running[0].TLS(local.Admin)
	return s, nil
}

// ambiguous lists the flags of each runtime that runs on this machine.
func ambiguous(running []local.Layout) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d runtimes run on this machine; choose one with its flags:", len(running))
	for _, l := range running {
		fmt.Fprintf(&text, "\n  %s: --roster %s --tls-dir %s", l, l.Roster(), l.TLS(local.Admin))
	}
	return errors.New(text.String())
}
