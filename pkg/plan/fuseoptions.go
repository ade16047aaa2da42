package plan

import (
	"fmt"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// FuseOptions are the options of a FUSE mount.
type FuseOptions struct {
	ReadOnly   bool `json:"readOnly"`
	AllowOther bool `json:"allowOther"`
	// AttrTimeout, EntryTimeout and NegativeTimeout are how long the kernel caches
	// attributes, names and the absence of names.
	AttrTimeout     time.Duration `json:"attrTimeout"`
	EntryTimeout    time.Duration `json:"entryTimeout"`
	NegativeTimeout time.Duration `json:"negativeTimeout"`
	// ReadTimeout limits a read or a lookup while the store is unavailable. 0 means
	// the default of the FUSE server, 60 s.
	ReadTimeout time.Duration `json:"readTimeout,omitempty"`
	// Immutable selects the profile for files that are never replaced.
	Immutable bool `json:"immutable,omitempty"`
	// UID and GID own all files; nil means those of the FUSE server.
	UID *int64 `json:"uid,omitempty"`
	GID *int64 `json:"gid,omitempty"`
}

// fuseOptions returns the defaults for the accessModes, overridden by the owner of
// the Dataset and then by fuse.args.
func fuseOptions(dataset *v1alpha1.DatasetSpec, runtime *v1alpha1.JindoRuntime) (FuseOptions, error) {
	o := FuseOptions{
		ReadOnly: dataset.ReadOnly(), AllowOther: true,
		AttrTimeout: time.Minute, EntryTimeout: time.Minute, NegativeTimeout: 5 * time.Second,
	}
	if !o.ReadOnly {
		o.AttrTimeout, o.EntryTimeout, o.NegativeTimeout = time.Second, time.Second, 0
	}
	if owner := dataset.Owner; owner != nil {
		o.UID, o.GID = owner.UID, owner.GID
	}
	args, err := v1alpha1.ParseFuseArgs(runtime.Spec.Fuse.Args)
	if err != nil {
		return FuseOptions{}, fmt.Errorf("parse fuse.args: %w", err)
	}
	if args.Immutable {
		// Names are looked up again when they are invalidated. New files are found
		// after NegativeTimeout, as on every mount.
		o.Immutable, o.ReadOnly = true, true
		o.AttrTimeout, o.EntryTimeout, o.NegativeTimeout = immutableTimeout, immutableTimeout, 5*time.Second
	}
	override(&o.AttrTimeout, args.AttrTimeout)
	override(&o.EntryTimeout, args.EntryTimeout)
	override(&o.NegativeTimeout, args.NegativeTimeout)
	override(&o.ReadTimeout, args.ReadTimeout)
	if args.UID != nil {
		o.UID = args.UID
	}
	if args.GID != nil {
		o.GID = args.GID
	}
	o.ReadOnly = o.ReadOnly || args.ReadOnly
	return o, nil
}

// immutableTimeout is how long the kernel caches names and attributes of files that
// are never replaced. A file that was deleted may be visible for as long.
const immutableTimeout = 24 * time.Hour

func override[T any](value *T, with *T) {
	if with != nil {
		*value = *with
	}
}

func (o FuseOptions) args() []string {
	args := []string{
		"--attr-timeout=" + o.AttrTimeout.String(),
		"--entry-timeout=" + o.EntryTimeout.String(),
		"--negative-timeout=" + o.NegativeTimeout.String(),
	}
	if o.ReadTimeout > 0 {
		args = append(args, "--read-timeout="+o.ReadTimeout.String())
	}
	if o.Immutable {
		args = append(args, "--immutable=true")
	}
	if o.UID != nil {
		args = append(args, "--uid="+strconv.FormatInt(*o.UID, 10))
	}
	if o.GID != nil {
		args = append(args, "--gid="+strconv.FormatInt(*o.GID, 10))
	}
	return args
}
