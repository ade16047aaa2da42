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

// Where an executor on Kubernetes puts the files.
const (
	defaultRoster = "/etc/jindo/roster.json"
	defaultTLSDir = "/etc/jindo/tls"
)

// defaultTimeout of a whole command that moves no data.
const defaultTimeout = 30 * time.Second

// parseSettings takes the settings out of the words, wherever they stand in
// front of the first word of the command.
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
				return settings, nil, usagef("--%s needs a value", name)
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
			return usagef("--timeout %q is no duration above zero: write 30s", value)
		}
		s.Timeout = timeout
	}
	return nil
}

// locate completes the settings: what was said, else the files of a pod, else
// the only runtime of this machine.
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
	if len(running) != 1 {
		return s, fmt.Errorf("which cluster? %s is not there and %d runtimes run on this machine: give --roster FILE and --tls-dir DIR", defaultRoster, len(running))
	}
	s.Roster, s.TLSDir = running[0].Roster(), running[0].TLS(local.Admin)
	return s, nil
}
