package v1alpha1

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// FuseArgs holds the options of fuse.args that have an effect. A nil field was
// not given.
type FuseArgs struct {
	AttrTimeout     *time.Duration
	EntryTimeout    *time.Duration
	NegativeTimeout *time.Duration
	// ReadTimeout limits a read or a lookup while the store is unavailable.
	ReadTimeout *time.Duration
	UID         *int64
	GID         *int64
	// ReadOnly is set by -oro.
	ReadOnly bool
	// Immutable is set by -oimmutable: no file is ever replaced.
	Immutable bool
	// Ignored holds the options without effect, as they were written.
	Ignored []string
}

// ParseFuseArgs parses options in the forms -oname=value and -o name=value, each
// of which may hold a comma-separated list. The last option of a name wins. An
// error names the argument and contains an example.
func ParseFuseArgs(args []string) (FuseArgs, error) {
	var parsed FuseArgs
	next := false
	for i, arg := range args {
		arg = strings.TrimSpace(arg)
		var list string
		switch {
		case next:
			list, next = arg, false
		case arg == "-o":
			next = true
			continue
		case strings.HasPrefix(arg, "-o"):
			list = strings.TrimSpace(arg[len("-o"):])
		case arg == "":
			continue
		default:
			parsed.Ignored = append(parsed.Ignored, arg)
			continue
		}
		for _, option := range strings.Split(list, ",") {
			if err := parsed.set(strings.TrimSpace(option)); err != nil {
				return FuseArgs{}, fmt.Errorf("argument %d, %q: %w", i+1, option, err)
			}
		}
	}
	if next {
		return FuseArgs{}, fmt.Errorf("the last argument, \"-o\", is not followed by an option: write -oattr_timeout=60")
	}
	return parsed, nil
}

func (a *FuseArgs) set(option string) error {
	name, value, valued := strings.Cut(option, "=")
	switch name {
	case "attr_timeout":
		return setSeconds(&a.AttrTimeout, name, value)
	case "entry_timeout":
		return setSeconds(&a.EntryTimeout, name, value)
	case "negative_timeout":
		return setSeconds(&a.NegativeTimeout, name, value)
	case "read_timeout":
		if err := setSeconds(&a.ReadTimeout, name, value); err != nil {
			return err
		}
		if *a.ReadTimeout < time.Second {
			return fmt.Errorf("less than a second: write -oread_timeout=60")
		}
	case "uid":
		return setID(&a.UID, name, value)
	case "gid":
		return setID(&a.GID, name, value)
	case "ro":
		a.ReadOnly = true
	case "immutable":
		if valued {
			return fmt.Errorf("takes no value: write -oimmutable, or omit the option if files are replaced")
		}
		a.Immutable = true
	case "":
	default:
		a.Ignored = append(a.Ignored, "-o"+option)
	}
	return nil
}

// maxTimeout is the longest timeout that is passed to the kernel. Longer ones are
// reduced to it.
const maxTimeout = 10 * 365 * 24 * time.Hour

func setSeconds(field **time.Duration, name, value string) error {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 {
		return fmt.Errorf("invalid number of seconds: write -o%s=60", name)
	}
	timeout := maxTimeout
	if seconds < maxTimeout.Seconds() {
		timeout = time.Duration(seconds * float64(time.Second))
	}
	*field = &timeout
	return nil
}

func setID(field **int64, name, value string) error {
	id, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fmt.Errorf("invalid ID: write -o%s=1000", name)
	}
	*field = new(int64(id))
	return nil
}
