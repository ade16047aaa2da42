package v1alpha1

import (
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) mount(path *field.Path, spec *DatasetSpec, mount *Mount) {
	f.mountName(path.Child("name"), mount.Name)
	if mount.Path != "" {
		f.absolutePath(path.Child("path"), mount.Path)
	}
	f.optionNames(path.Child("options"), mount.Options)
	f.encryptOptions(path.Child("encryptOptions"), mount.EncryptOptions, mount.Options)
	scheme, ok := f.mountPoint(path.Child("mountPoint"), mount.MountPoint)
	options := spec.EffectiveOptions(*mount)
	f.storeOptions(path.Child("options"), scheme, ok, options)
	f.keyPairs(path.Child("options"), options)
	f.cacheOptions(path.Child("options"), options)
}

func (f *findings) mountName(path *field.Path, name string) {
	if name == "" {
		return
	}
	if !mountName(name) {
		f.invalid(path, name, "cannot name a directory: write at most %d letters, digits, '-', '_' and '.', such as %s", maxMountName, nameFromMountPoint("oss://"+name))
	}
}

// mountName holds for a name that can be a directory's and a label's.
func mountName(name string) bool { return len(name) <= maxMountName && plainName(name) }

// plainName holds for characters that need no quoting, of which not all are
// dots.
func plainName(name string) bool {
	return strings.Trim(name, ".") != "" && !strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) })
}

// mountPoint answers the scheme, and whether the mount point could be read.
func (f *findings) mountPoint(path *field.Path, mountPoint string) (string, bool) {
	written, rest, found := strings.Cut(mountPoint, "://")
	scheme := strings.ToLower(written)
	switch {
	case mountPoint == "":
		f.required(path, "write where the data lies, such as oss://bucket/prefix/")
		return "", false
	case holdsCredentials(mountPoint): // before anything that repeats the value
		f.forbidden(path, "a mount point holds no credentials: write them as encryptOptions, such as fs.oss.accessKeyId and fs.oss.accessKeySecret")
		return "", false
	}
	if !utf8.ValidString(mountPoint) || strings.ContainsFunc(mountPoint, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		f.invalid(path, mountPoint, "holds characters that no name has: write it like oss://bucket/prefix/")
		return "", false
	}
	switch {
	case !found || written == "":
		f.invalid(path, mountPoint, "has no scheme: write it like oss://bucket/prefix/ or local:///directory")
		return "", false
	case !slices.Contains(Schemes(), scheme):
		f.invalid(path, mountPoint, "has the scheme %q, which is not known: write one of %s", written, enumerate(Schemes()))
		return "", false
	case written != scheme:
		f.invalid(path, mountPoint, "has a scheme in capitals: write %s://%s", scheme, rest)
		return scheme, false
	case hasPlaceholder(mountPoint):
		f.warn(path, "still holds the placeholder of an example: write the real name in its place")
		return scheme, true
	}
	return scheme, f.place(path, mountPoint, scheme, rest)
}

// holdsCredentials holds for ID:SECRET@ before a bucket, with or without a
// scheme, and for a secret with a slash in it.
func holdsCredentials(mountPoint string) bool {
	_, rest, found := strings.Cut(mountPoint, "://")
	if !found {
		return strings.Contains(mountPoint, "@")
	}
	authority, _, _ := strings.Cut(rest, "/")
	return strings.Contains(authority, "@") || strings.Contains(authority, ":") && strings.Contains(rest, "@")
}

// place checks what follows the scheme.
func (f *findings) place(path *field.Path, mountPoint, scheme, rest string) bool {
	before := len(f.errs)
	host, dir, _ := strings.Cut(rest, "/")
	switch {
	case isDirectory(scheme):
		if host != "" || !strings.HasPrefix(rest, "/") {
			f.invalid(path, mountPoint, "names no absolute directory: write %s:///%s, with three slashes", scheme, strings.Trim(rest, "/"))
			return false
		}
	case host == "":
		f.invalid(path, mountPoint, "names no %s: write %s://%s/", placeWord(scheme), scheme, placeWord(scheme))
		return false
	case scheme == "pvc" && len(validation.IsDNS1123Subdomain(host)) > 0:
		f.invalid(path, mountPoint, "has %q, which is no name of a claim: write pvc://claim/directory in lower-case letters, digits and '-'", host)
	case NeedsCredentials(scheme) && (len(host) > 255 || !plainName(host)):
		f.invalid(path, mountPoint, "has %q, which is no name of a bucket: write %s://bucket/prefix/, the bucket in letters, digits, '-', '_' and '.'", host, scheme)
	}
	for _, element := range strings.Split(strings.Trim(dir, "/"), "/") {
		if element == "." || element == ".." || (element == "" && strings.Trim(dir, "/") != "") {
			f.invalid(path, mountPoint, "has an empty element, \".\" or \"..\" in its path: write %s://%s%s/", scheme, host, cleanPath(dir))
			break
		}
	}
	return len(f.errs) == before
}

// placeWord is what stands behind a scheme.
func placeWord(scheme string) string {
	switch scheme {
	case "pvc":
		return "claim"
	case "hdfs":
		return "namenode:port"
	}
	return "bucket"
}

// storeOptions checks that a store can be found.
func (f *findings) storeOptions(path *field.Path, scheme string, readable bool, options map[string]OptionValue) {
	if !readable {
		return
	}
	given := func(name string) bool {
		value, ok := options[name]
		return ok && (value.Secret != nil || strings.TrimSpace(value.Text) != "")
	}
	switch {
	case scheme == "oss" && !given("fs.oss.endpoint"):
		f.required(path.Key("fs.oss.endpoint"), "a mount of oss:// needs the endpoint of its region: write fs.oss.endpoint: oss-cn-beijing-internal.aliyuncs.com")
	case scheme == "s3" && !given("fs.s3.endpoint") && !given("fs.s3.region"):
		f.required(path.Key("fs.s3.endpoint"), "a mount of s3:// needs an endpoint or a region: write fs.s3.endpoint: https://s3.example.com or fs.s3.region: us-east-1")
	}
	if message := MountUnsupported(scheme); message != "" {
		f.warnings = append(f.warnings, strings.TrimSuffix(path.String(), ".options")+".mountPoint: "+message)
	}
}
