package v1alpha1

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of a mount, in bytes.
const (
	maxMountPoint = 4096
	maxMountPath  = 1024
)

func (f *findings) mount(path *field.Path, spec *DatasetSpec, mount *Mount) {
	f.mountName(path.Child("name"), mount.Name)
	if mount.Path != "" {
		f.absolutePath(path.Child("path"), mount.Path)
	}
	if len(mount.Path) > maxMountPath {
		f.invalid(path.Child("path"), mount.Path, "longer than %d bytes: write a shorter path", maxMountPath)
	}
	f.optionNames(path.Child("options"), mount.Options)
	f.encryptOptions(path.Child("encryptOptions"), mount.EncryptOptions, mount.Options)
	scheme, ok := f.mountPoint(path.Child("mountPoint"), mount.MountPoint)
	options := spec.EffectiveOptions(*mount)
	f.storeOptions(path.Child("options"), scheme, ok, options)
	f.keyPairs(path.Child("options"), options)
	f.cacheOptions(path.Child("options"), options)
	f.unknownOptions(path, scheme, mount)
}

func (f *findings) mountName(path *field.Path, name string) {
	if name == "" {
		return
	}
	if !mountName(name) {
		f.invalid(path, name, "not a valid directory name: write at most %d letters, digits, '-', '_' and '.', such as %s", maxMountName, nameFromMountPoint("oss://"+name))
	}
}

// mountName reports whether a name can be that of a directory and of a label.
func mountName(name string) bool { return len(name) <= maxMountName && plainName(name) }

// plainName reports whether a name consists of letters, digits, '-', '_' and
// '.', and not of dots only.
func plainName(name string) bool {
	return strings.Trim(name, ".") != "" && !strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) })
}

// mountPoint returns the scheme of a mount point and whether the mount point is
// valid.
func (f *findings) mountPoint(path *field.Path, mountPoint string) (string, bool) {
	written, rest, found := strings.Cut(mountPoint, "://")
	scheme := strings.ToLower(written)
	switch {
	case mountPoint == "":
		f.required(path, "write the location of the data, such as oss://bucket/prefix/")
		return "", false
	case holdsCredentials(mountPoint): // before any error that repeats the value
		f.forbidden(path, "a mount point must not contain credentials: write them as encryptOptions, such as fs.oss.accessKeyId and fs.oss.accessKeySecret")
		return "", false
	}
	if !utf8.ValidString(mountPoint) || strings.ContainsFunc(mountPoint, isControl) {
		f.invalid(path, mountPoint, "contains control characters or invalid UTF-8: write it like oss://bucket/prefix/")
		return "", false
	}
	switch {
	case len(mountPoint) > maxMountPoint:
		f.invalid(path, mountPoint, "longer than %d bytes: write it like oss://bucket/prefix/", maxMountPoint)
		return "", false
	case !found || written == "":
		f.invalid(path, mountPoint, "has no scheme: write it like oss://bucket/prefix/ or local:///directory")
		return "", false
	case !slices.Contains(Schemes(), scheme):
		f.invalid(path, mountPoint, "unsupported scheme %q: write one of %s", written, enumerate(Schemes()))
		return "", false
	case written != scheme:
		f.invalid(path, mountPoint, "the scheme is in upper case: write %s://%s", scheme, rest)
		return scheme, false
	case hasPlaceholder(mountPoint):
		f.warnAnyRuntime(path, "contains a placeholder: replace it with the real name")
		return scheme, true
	}
	return scheme, f.location(path, mountPoint, scheme, rest)
}

// holdsCredentials reports whether a mount point contains ID:SECRET@ before its
// bucket, with or without a scheme, or a secret that contains a slash.
func holdsCredentials(mountPoint string) bool {
	_, rest, found := strings.Cut(mountPoint, "://")
	if !found {
		return strings.Contains(mountPoint, "@")
	}
	authority, _, _ := strings.Cut(rest, "/")
	return strings.Contains(authority, "@") || strings.Contains(authority, ":") && strings.Contains(rest, "@")
}

// location checks the part of a mount point behind the scheme, and reports
// whether it is valid.
func (f *findings) location(path *field.Path, mountPoint, scheme, rest string) bool {
	before := len(f.errs)
	host, dir, _ := strings.Cut(rest, "/")
	switch {
	case isDirectory(scheme):
		if host != "" || !strings.HasPrefix(rest, "/") {
			f.invalid(path, mountPoint, "not an absolute directory: write %s:///%s, with three slashes", scheme, strings.Trim(rest, "/"))
			return false
		}
	case host == "":
		f.invalid(path, mountPoint, "has no %s: write %s://%s/", hostWord(scheme), scheme, hostWord(scheme))
		return false
	case scheme == "pvc" && len(validation.IsDNS1123Subdomain(host)) > 0:
		f.invalid(path, mountPoint, "%q is not a valid claim name: write pvc://claim/directory in lower-case letters, digits and '-'", host)
	case NeedsCredentials(scheme) && (len(host) > 255 || !plainName(host)):
		f.invalid(path, mountPoint, "%q is not a valid bucket name: write %s://bucket/prefix/, the bucket in letters, digits, '-', '_' and '.'", host, scheme)
	case NeedsCredentials(scheme) && (!bucketName().MatchString(host) || strings.Contains(host, "..")):
		f.warn(path, "%q is not a valid bucket name (3 to 63 lowercase letters, digits, dots and hyphens): check the spelling", host)
	}
	for _, element := range strings.Split(strings.Trim(dir, "/"), "/") {
		if element == "." || element == ".." || (element == "" && strings.Trim(dir, "/") != "") {
			f.invalid(path, mountPoint, "contains an empty element, \".\" or \"..\" in its path: write %s://%s%s/", scheme, host, cleanPath(dir))
			break
		}
	}
	return len(f.errs) == before
}

// bucketName matches the names that S3 and OSS accept for new buckets. Old buckets may
// have other names, so these are not errors.
// S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func bucketName() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$`)
}

// hostWord names the part between the scheme and the path of a mount point.
func hostWord(scheme string) string {
	switch scheme {
	case "pvc":
		return "claim"
	case "hdfs":
		return "namenode:port"
	}
	return "bucket"
}

// storeOptions checks that the endpoint of a store is known.
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
