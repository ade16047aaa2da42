package v1alpha1

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// optionNames checks options as they are written in one place.
func (f *findings) optionNames(path *field.Path, options map[string]string) {
	for name, value := range sorted(options) {
		f.optionName(path.Key(name), name)
		switch {
		case !SecretOption(name):
			if hasPlaceholder(value) {
				f.warn(path.Key(name), "still holds the placeholder of an example: write the real value in its place")
			}
		case strings.TrimSpace(value) == "":
			f.required(path.Key(name), "is empty: write its value, or better, name a Secret under encryptOptions")
		case hasPlaceholder(value):
			f.warn(path.Key(name), "still holds the placeholder of an example: write the real value in its place, or better, name a Secret under encryptOptions")
		default:
			f.warn(path.Key(name), "is a credential in clear, for everybody to read who may read this object: put it into a Secret and name that under encryptOptions")
		}
	}
}

// optionName checks that an option can be the name of a file, and catches the
// credentials whose case is wrong, which no driver would look at.
func (f *findings) optionName(path *field.Path, name string) {
	if len(validation.IsConfigMapKey(name)) > 0 {
		f.invalid(path, name, "is no name of an option: write letters, digits, '-', '_' and '.', such as fs.oss.endpoint")
		return
	}
	dot := strings.LastIndex(name, ".")
	for _, credential := range []string{accessKeyID, accessKeySecret, securityToken} {
		if last := name[dot+1:]; strings.EqualFold(last, credential) && last != credential {
			f.invalid(path, name, "is spelled with other capitals than stores read: write %s", name[:dot+1]+credential)
		}
	}
}

// encryptOptions checks options out of Secrets as they are written in one
// place, plain being the options beside them.
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
			f.invalid(at.Child("name"), option.Name, "is the name of entry %d too: write it once", first)
		}
		seen[option.Name] = i
		if _, twice := plain[option.Name]; twice {
			f.forbidden(at.Child("name"), "%s is given in clear as well: write it here only, and take it out of the options", option.Name)
		}
		f.secretKey(at.Child("valueFrom", "secretKeyRef"), option.ValueFrom.SecretKeyRef)
	}
}

func (f *findings) secretKey(path *field.Path, ref SecretKeySelector) {
	f.secretName(path.Child("name"), ref.Name, true)
	switch {
	case ref.Key == "":
		f.required(path.Child("key"), "write the key in the Secret that holds the value")
	case len(validation.IsConfigMapKey(ref.Key)) > 0:
		f.invalid(path.Child("key"), ref.Key, "is no key of a Secret: write letters, digits, '-', '_' and '.'")
	}
}

// secretName checks the name of a Secret or ConfigMap.
func (f *findings) secretName(path *field.Path, name string, required bool) {
	switch {
	case name == "" && required:
		f.required(path, "write the name of the Secret that holds the value")
	case name != "" && len(validation.IsDNS1123Subdomain(name)) > 0:
		f.invalid(path, name, "cannot be the name of an object: write lower-case letters, digits, '-' and '.'")
	}
}

// keyPairs refuses half a pair of keys among a mount's options, wherever they
// come from. Values are never repeated.
func (f *findings) keyPairs(path *field.Path, options map[string]OptionValue) {
	for name := range sorted(options) {
		prefix, found := strings.CutSuffix(name, accessKeyID)
		if _, other := options[prefix+accessKeySecret]; found && !other {
			f.required(path.Key(prefix+accessKeySecret), "%s is given without it: write both as encryptOptions, or neither", name)
		}
		prefix, found = strings.CutSuffix(name, accessKeySecret)
		if _, other := options[prefix+accessKeyID]; found && !other {
			f.required(path.Key(prefix+accessKeyID), "%s is given without it: write both as encryptOptions, or neither", name)
		}
		prefix, found = strings.CutSuffix(name, securityToken)
		if _, other := options[prefix+accessKeyID]; found && !other {
			f.required(path.Key(prefix+accessKeyID), "%s is given without it: write all three of temporary credentials as encryptOptions, or none", name)
		}
	}
}

// cacheOptions checks the options that say how a mount is cached.
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
			for known := range sorted(allowed) {
				if strings.EqualFold(name, known) {
					f.invalid(path.Key(name), name, "is spelled with other capitals than the option that there is: write %s", known)
				}
			}
			continue
		}
		if value.Secret != nil {
			f.forbidden(path.Key(name), "is no secret: write it under options")
			continue
		}
		if words, ok := allowed[name]; ok {
			oneOf(f, path.Key(name), value.Text, words...)
			continue
		}
		if n, err := strconv.Atoi(value.Text); err != nil || n < 1 {
			f.invalid(path.Key(name), value.Text, "is no number of replicas: write a whole number from 1, such as \"1\"")
		}
	}
}
