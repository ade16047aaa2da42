package v1alpha1

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// optionNames checks the options of one mount, or the shared ones.
func (f *findings) optionNames(path *field.Path, options map[string]string) {
	for name, value := range sorted(options) {
		f.optionName(path.Key(name), name)
		switch {
		case !SecretOption(name):
			if hasPlaceholder(value) {
				f.warnAnyRuntime(path.Key(name), "contains a placeholder: replace it with the real value")
			}
		case strings.TrimSpace(value) == "":
			f.required(path.Key(name), "the value is empty: write it, or preferably name a Secret under encryptOptions")
		case hasPlaceholder(value):
			f.warnAnyRuntime(path.Key(name), "contains a placeholder: replace it with the real value, or preferably name a Secret under encryptOptions")
		default:
			f.warnAnyRuntime(path.Key(name), "a credential in plain text, visible to every user who can read this object: store it in a Secret and name that under encryptOptions")
		}
	}
}

// optionName checks that an option can be the name of a file, and that the name
// of a credential has the case that drivers expect.
func (f *findings) optionName(path *field.Path, name string) {
	if len(validation.IsConfigMapKey(name)) > 0 {
		f.invalid(path, name, "not a valid option name: write letters, digits, '-', '_' and '.', such as fs.oss.endpoint")
		return
	}
	if right := misspelled(name); right != "" && !CacheOption(right) {
		f.invalid(path, name, "option names are case-sensitive: write %s", right)
	}
}

// misspelled returns the name of the credential or cache option that a name
// differs from in case only; empty when there is none.
func misspelled(name string) string {
	dot := strings.LastIndex(name, ".")
	for _, credential := range []string{accessKeyID, accessKeySecret, securityToken} {
		if last := name[dot+1:]; strings.EqualFold(last, credential) && last != credential {
			return name[:dot+1] + credential
		}
	}
	for _, known := range cacheOptionNames() {
		if strings.EqualFold(name, known) && name != known {
			return known
		}
	}
	return ""
}

// encryptOptions checks the encrypted options of one mount, or the shared ones.
// plain holds the plain-text options of the same mount.
func (f *findings) encryptOptions(path *field.Path, options []EncryptOption, plain map[string]string) {
	seen := map[string]int{}
	for i, option := range options {
		at := path.Index(i)
		if option.Name == "" {
			f.required(at.Child("name"), "write the option, such as fs.oss.accessKeyId")
		} else {
			f.optionName(at.Child("name"), option.Name)
		}
		if first, twice := seen[option.Name]; twice && option.Name != "" {
			f.invalid(at.Child("name"), option.Name, "duplicate of entry %d: write it once", first)
		}
		seen[option.Name] = i
		if _, twice := plain[option.Name]; twice {
			f.forbidden(at.Child("name"), "%s is also set in plain text: write it here only, and remove it from the options", option.Name)
		}
		f.secretKey(at.Child("valueFrom", "secretKeyRef"), option.ValueFrom.SecretKeyRef)
	}
}

func (f *findings) secretKey(path *field.Path, ref SecretKeySelector) {
	f.secretName(path.Child("name"), ref.Name, true)
	switch {
	case ref.Key == "":
		f.required(path.Child("key"), "write the key of the Secret that holds the value")
	case len(validation.IsConfigMapKey(ref.Key)) > 0:
		f.invalid(path.Child("key"), ref.Key, "not a valid Secret key: write letters, digits, '-', '_' and '.'")
	}
}

// secretName checks the name of a Secret or ConfigMap.
func (f *findings) secretName(path *field.Path, name string, required bool) {
	switch {
	case name == "" && required:
		f.required(path, "write the name of the Secret that holds the value")
	case name != "" && len(validation.IsDNS1123Subdomain(name)) > 0:
		f.invalid(path, name, "not a valid object name: write lower-case letters, digits, '-' and '.'")
	}
}

// keyPairs checks that an access key ID and its secret are set together in the
// effective options of a mount. Errors never repeat a value.
func (f *findings) keyPairs(path *field.Path, options map[string]OptionValue) {
	for name := range sorted(options) {
		prefix, found := strings.CutSuffix(name, accessKeyID)
		if _, other := options[prefix+accessKeySecret]; found && !other {
			f.required(path.Key(prefix+accessKeySecret), "%s is set without it: write both as encryptOptions, or neither", name)
		}
		prefix, found = strings.CutSuffix(name, accessKeySecret)
		if _, other := options[prefix+accessKeyID]; found && !other {
			f.required(path.Key(prefix+accessKeyID), "%s is set without it: write both as encryptOptions, or neither", name)
		}
		prefix, found = strings.CutSuffix(name, securityToken)
		if _, other := options[prefix+accessKeyID]; found && !other {
			f.required(path.Key(prefix+accessKeyID), "%s is set without it: write all three temporary credentials as encryptOptions, or none", name)
		}
	}
}

// cacheOptions checks the options that control how a mount is cached.
func (f *findings) cacheOptions(path *field.Path, options map[string]OptionValue) {
	allowed := map[string][]string{
		OptionMetaPolicy:    {MetaPolicyAlways, MetaPolicyOnce},
		OptionCacheStrategy: {"DISTRIBUTED", "DHT"},
		OptionWritePolicy:   {"WRITE_AROUND", "WRITE_THROUGH", "CACHE_ONLY"},
		OptionPosixMetadata: {"true", "false"},
		OptionLocks:         {"kernel", "cluster"},
	}
	for name, value := range sorted(options) {
		if !CacheOption(name) {
			if right := misspelled(name); CacheOption(right) {
				f.invalid(path.Key(name), name, "option names are case-sensitive: write %s", right)
			}
			continue
		}
		if value.Secret != nil {
			f.forbidden(path.Key(name), "not a secret: write it under options")
			continue
		}
		if words, ok := allowed[name]; ok {
			oneOf(f, path.Key(name), value.Text, words...)
			continue
		}
		if n, err := strconv.Atoi(value.Text); err != nil || n < 1 {
			f.invalid(path.Key(name), value.Text, "not a valid number of replicas: write a whole number of at least 1, such as \"1\"")
		}
	}
}
