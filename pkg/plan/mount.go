package plan

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// ConditionMountUnsupported is the condition of a Dataset with a mount of a scheme
// that no driver supports.
const ConditionMountUnsupported = string(v1alpha1.DatasetMountUnsupported)

// Mount presents a prefix of a store at a path of the file tree. It contains no
// credentials.
type Mount struct {
	Name string `json:"name"`
	// Path is the path in the file tree, absolute and clean: "/hadoop", or "/".
	Path string `json:"path"`
	// URI of the store, as written in the Dataset.
	URI string `json:"uri"`
	// Options are passed to the driver of the store.
	Options map[string]string `json:"options,omitempty"`
	// SecretRef is the name of the directory with the credential files; empty if
	// the mount has no credentials.
	SecretRef string `json:"secretRef,omitempty"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	// MetaPolicy is ALWAYS or ONCE.
	MetaPolicy string `json:"metaPolicy"`
}

// Proto returns the mount as a message for the masters, which assign its ID.
func (m Mount) Proto() *commonv1.Mount {
	policy := commonv1.MetaPolicy_META_POLICY_ALWAYS
	if m.MetaPolicy == v1alpha1.MetaPolicyOnce {
		policy = commonv1.MetaPolicy_META_POLICY_ONCE
	}
	return &commonv1.Mount{
		Name: m.Name, Path: m.Path, Uri: m.URI, Options: maps.Clone(m.Options),
		SecretRef: m.SecretRef, ReadOnly: m.ReadOnly, MetaPolicy: policy,
	}
}

// MountProblem is a mount that cannot be served.
type MountProblem struct {
	Mount string `json:"mount"`
	// Condition is the condition of the Dataset: MountUnsupported.
	Condition string `json:"condition"`
	// Message explains the problem and what to do.
	Message string `json:"message"`
}

// Credentials are the credentials of one mount. The executor creates the directory
// SecretRef with a file for each option.
type Credentials struct {
	SecretRef string `json:"secretRef"`
	// Mount is the name of the mount.
	Mount string `json:"-"`
	// Literal holds the options that are plain text in the manifest.
	Literal map[string]Sensitive `json:"literal,omitempty"`
	// Refs are the options stored in Secrets, sorted by option.
	Refs []SecretKeyRef `json:"refs,omitempty"`
}

// SecretKeyRef is an option whose value is stored under a key of a Secret.
type SecretKeyRef struct {
	Option string `json:"option"`
	// Name and Key of the Secret, which is in the namespace of the runtime.
	Name string `json:"name"`
	Key  string `json:"key"`
	// Optional is true if the key may be absent.
	Optional bool `json:"optional,omitempty"`
}

// Sensitive is text that is hidden when it is printed, logged or encoded. Convert
// it to a string to get the text.
type Sensitive string

const hidden = "(hidden)"

// String implements fmt.Stringer and hides the text.
func (Sensitive) String() string { return hidden }

// GoString implements fmt.GoStringer and hides the text.
func (Sensitive) GoString() string { return hidden }

// LogValue implements slog.LogValuer and hides the text.
func (Sensitive) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler and hides the text.
func (Sensitive) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// addMounts adds the mounts of a valid Dataset with defaults to a plan.
func addMounts(p *Plan, spec *v1alpha1.DatasetSpec, runtime *v1alpha1.JindoRuntime, problem func(*v1alpha1.JindoRuntime, string) string) {
	runtimeSecret := runtime.Spec.Secret
	for _, m := range spec.Mounts {
		scheme := v1alpha1.Scheme(m.MountPoint)
		if message := cmp.Or(v1alpha1.MountUnsupported(scheme), problem(runtime, m.MountPoint)); message != "" {
			p.Problems = append(p.Problems, MountProblem{Mount: m.Name, Condition: ConditionMountUnsupported, Message: message})
			continue
		}
		mount, credentials := planMount(spec, m)
		if mount.SecretRef == "" && runtimeSecret != "" && v1alpha1.NeedsCredentials(scheme) {
			mount.SecretRef = m.Name
			credentials = secretCredentials(m.Name, scheme, runtimeSecret)
		}
		p.Mounts = append(p.Mounts, mount)
		if mount.SecretRef != "" {
			p.Credentials = append(p.Credentials, credentials)
		}
	}
}

func planMount(spec *v1alpha1.DatasetSpec, m v1alpha1.Mount) (Mount, Credentials) {
	mount := Mount{
		Name: m.Name, Path: m.Path, URI: m.MountPoint, Options: map[string]string{},
		ReadOnly: spec.ReadOnly() || m.ReadOnly, MetaPolicy: v1alpha1.MetaPolicyAlways,
	}
	credentials := Credentials{SecretRef: m.Name, Mount: m.Name, Literal: map[string]Sensitive{}}
	options := spec.EffectiveOptions(m)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		switch {
		case v1alpha1.ForeignOption(name, v1alpha1.Scheme(m.MountPoint)):
			// Options and credentials of other stores are not passed on.
		case value.Secret != nil:
			credentials.Refs = append(credentials.Refs, SecretKeyRef{Option: name, Name: value.Secret.Name, Key: value.Secret.Key})
		case v1alpha1.SecretOption(name):
			credentials.Literal[name] = Sensitive(value.Text)
		case name == v1alpha1.OptionMetaPolicy:
			mount.MetaPolicy = value.Text
		case !v1alpha1.CacheOption(name):
			mount.Options[name] = value.Text
		}
	}
	if len(credentials.Literal)+len(credentials.Refs) > 0 {
		mount.SecretRef = m.Name
	}
	return mount, credentials
}

// secretCredentials returns the credentials of a mount that has none of its own.
// They are stored in the Secret of the runtime.
func secretCredentials(mount, scheme, secret string) Credentials {
	ref := func(option, key string, optional bool) SecretKeyRef {
		return SecretKeyRef{Option: "fs." + scheme + "." + option, Name: secret, Key: key, Optional: optional}
	}
	return Credentials{SecretRef: mount, Mount: mount, Refs: []SecretKeyRef{
		ref("accessKeyId", "AccessKeyId", false),
		ref("accessKeySecret", "AccessKeySecret", false),
		ref("securityToken", "SecurityToken", true),
	}}
}
