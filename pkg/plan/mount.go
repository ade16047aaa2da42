package plan

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// ConditionMountUnsupported is the condition of a Dataset with a mount whose
// scheme has no driver.
const ConditionMountUnsupported = string(v1alpha1.DatasetMountUnsupported)

// Mount puts a prefix of a store at a path of the tree. It holds no secret.
type Mount struct {
	Name string `json:"name"`
	// Path in the tree, absolute and clean: "/hadoop", or "/" for all of it.
	Path string `json:"path"`
	// URI of the store, as the person wrote it.
	URI string `json:"uri"`
	// Options of the store's driver.
	Options map[string]string `json:"options,omitempty"`
	// SecretRef names the directory of credential files; empty for none.
	SecretRef string `json:"secretRef,omitempty"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	// MetaPolicy is ALWAYS or ONCE.
	MetaPolicy string `json:"metaPolicy"`
}

// Proto is the mount as masters take it. Its id is theirs to give.
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
	// Condition that the Dataset gets: MountUnsupported.
	Condition string `json:"condition"`
	// Message says, for people, what to do.
	Message string `json:"message"`
}

// Credentials of one mount: the executor makes the directory SecretRef with a
// file for each option.
type Credentials struct {
	SecretRef string `json:"secretRef"`
	// Literal are options that the manifest holds in clear.
	Literal map[string]Sensitive `json:"literal,omitempty"`
	// Refs are options that Secrets hold, in the order of options.
	Refs []SecretKeyRef `json:"refs,omitempty"`
}

// SecretKeyRef is an option whose value is a key of a Secret.
type SecretKeyRef struct {
	Option string `json:"option"`
	// Name and Key in the runtime's namespace.
	Name string `json:"name"`
	Key  string `json:"key"`
	// Optional: the Secret may lack the key.
	Optional bool `json:"optional,omitempty"`
}

// Sensitive is text that does not show when it is printed, logged or encoded.
// Convert it to a string to use it.
type Sensitive string

const hidden = "(hidden)"

// String hides the text.
func (Sensitive) String() string { return hidden }

// GoString hides the text.
func (Sensitive) GoString() string { return hidden }

// LogValue hides the text.
func (Sensitive) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the text.
func (Sensitive) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// addMounts takes the mounts of a valid Dataset with its defaults.
func addMounts(p *Plan, spec *v1alpha1.DatasetSpec, runtimeSecret string) {
	for _, m := range spec.Mounts {
		scheme := v1alpha1.Scheme(m.MountPoint)
		if message := v1alpha1.MountUnsupported(scheme); message != "" {
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
	credentials := Credentials{SecretRef: m.Name, Literal: map[string]Sensitive{}}
	options := spec.EffectiveOptions(m)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		switch {
		case v1alpha1.ForeignOption(name, v1alpha1.Scheme(m.MountPoint)):
			// Options and credentials go to the stores that they are about only.
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

// secretCredentials are those of a mount that brings none, out of the Secret
// that the runtime names.
func secretCredentials(mount, scheme, secret string) Credentials {
	ref := func(option, key string, optional bool) SecretKeyRef {
		return SecretKeyRef{Option: "fs." + scheme + "." + option, Name: secret, Key: key, Optional: optional}
	}
	return Credentials{SecretRef: mount, Refs: []SecretKeyRef{
		ref("accessKeyId", "AccessKeyId", false),
		ref("accessKeySecret", "AccessKeySecret", false),
		ref("securityToken", "SecurityToken", true),
	}}
}
