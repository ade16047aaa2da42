package v1alpha1

import (
	"slices"
	"strings"
)

// Options of a mount that say how it is cached, not how its store is reached.
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
	// MetaPolicyAlways asks the store again once a listing is old. The default.
	MetaPolicyAlways = "ALWAYS"
	// MetaPolicyOnce asks again only when told to.
	MetaPolicyOnce = "ONCE"
)

// Names of the three credentials, behind "fs.SCHEME.".
const (
	accessKeyID     = "accessKeyId"
	accessKeySecret = "accessKeySecret"
	securityToken   = "securityToken"
)

// CacheOption says whether an option says how a mount is cached. Drivers of
// stores do not get these.
func CacheOption(name string) bool {
	return slices.Contains([]string{
		OptionMetaPolicy, OptionCacheStrategy, OptionWritePolicy, OptionReadCacheReplica,
		OptionWriteCacheReplica, OptionPosixMetadata, OptionLocks,
	}, name)
}

// SecretOption says whether the value of an option must be kept secret. It
// errs on the side of secrecy.
func SecretOption(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range []string{"accesskey", "access.key", "access-key", "secret", "password", "passwd", "token", "credential", "account.key", "private"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}

// OptionValue is the value of an option: plain text, or a key of a Secret.
type OptionValue struct {
	// Text, unless Secret is set.
	Text string
	// Secret that holds the value; nil when it is plain text.
	Secret *SecretKeySelector
}

// ForeignOption says whether an option is about stores of another scheme than
// the one given, so that a mount has no use for it: fs.oss.endpoint for s3.
func ForeignOption(name, scheme string) bool {
	for _, other := range Schemes() {
		if other != scheme && strings.HasPrefix(name, "fs."+other+".") {
			return true
		}
	}
	return false
}

// EffectiveOptions of one mount: the shared ones, each replaced by the mount's
// own of that name, whichever of the two is plain text and whichever lies in a
// Secret. The answer is a copy.
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
