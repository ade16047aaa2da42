package v1alpha1

import (
	"slices"
	"strings"
)

// Options of a mount that control how it is cached, as opposed to how its store
// is reached.
const (
	OptionMetaPolicy        = "metaPolicy"
	OptionCacheStrategy     = "cacheStrategy"
	OptionWritePolicy       = "writePolicy"
	OptionReadCacheReplica  = "readCacheReplica"
	OptionWriteCacheReplica = "writeCacheReplica"
	OptionPosixMetadata     = "posixMetadata"
	OptionLocks             = "locks"
)

// Values of the option metaPolicy.
const (
	// MetaPolicyAlways lists a directory in the store again once its cached
	// listing has expired. It is the default.
	MetaPolicyAlways = "ALWAYS"
	// MetaPolicyOnce lists a directory again only after an explicit refresh.
	MetaPolicyOnce = "ONCE"
)

// Names of the three credentials, behind "fs.SCHEME.".
const (
	accessKeyID     = "accessKeyId"
	accessKeySecret = "accessKeySecret"
	securityToken   = "securityToken"
)

// CacheOption reports whether an option controls how a mount is cached. Such
// options are not passed to the drivers of stores.
func CacheOption(name string) bool { return slices.Contains(cacheOptionNames(), name) }

func cacheOptionNames() []string {
	return []string{
		OptionMetaPolicy, OptionCacheStrategy, OptionWritePolicy, OptionReadCacheReplica,
		OptionWriteCacheReplica, OptionPosixMetadata, OptionLocks,
	}
}

// SecretOption reports whether the value of an option must be kept secret. When
// in doubt it returns true.
func SecretOption(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range []string{"accesskey", "access.key", "access-key", "secret", "password", "passwd", "token", "credential", "account.key", "private"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}

// OptionValue is the value of an option: plain text, or a reference to a key of
// a Secret.
type OptionValue struct {
	// Text is the value; empty when Secret is set.
	Text string
	// Secret refers to the value; nil when the value is plain text.
	Secret *SecretKeySelector
}

// ForeignOption reports whether an option is about stores of another scheme than
// the given one, such as fs.oss.endpoint for s3.
func ForeignOption(name, scheme string) bool {
	for _, other := range Schemes() {
		if other != scheme && strings.HasPrefix(name, "fs."+other+".") {
			return true
		}
	}
	return false
}

// EffectiveOptions returns the options of one mount: the shared options,
// overridden by the mount's own options of the same name. Plain text may override
// a Secret and the other way round. The result is a copy.
func (s *DatasetSpec) EffectiveOptions(mount Mount) map[string]OptionValue {
	merged := map[string]OptionValue{}
	add := func(plain map[string]string, encrypted []EncryptOption) {
		for name, text := range plain {
			merged[name] = OptionValue{Text: text}
		}
		for _, option := range encrypted {
			ref := option.ValueFrom.SecretKeyRef
			merged[option.Name] = OptionValue{Secret: &ref}
		}
	}
	add(s.SharedOptions, s.SharedEncryptOptions)
	add(mount.Options, mount.EncryptOptions)
	return merged
}
