package v1alpha1

import (
	"os"
	"strings"
	"testing"
)

const ossOptions = "options: {fs.oss.endpoint: oss.example.com}"

// mountsOf returns a spec with mounts in flow style.
func mountsOf(mounts ...string) string {
	return "mounts: [{" + strings.Join(mounts, "}, {") + "}]"
}

func TestMounts(t *testing.T) {
	oss := func(fields string) string { return fields + ", mountPoint: 'oss://bucket/', " + ossOptions }
	const at = "spec.mounts[0]."
	checkRules(t, DatasetKind, []rule{
		{name: "the seed's", spec: mountsOf(oss("name: hadoop"))},
		{name: "none", spec: "{}", want: []string{"spec.mounts: Required value"}},
		{name: "an empty list", spec: "mounts: []", want: []string{"spec.mounts: Required value"}},
		{name: "no mountPoint", spec: mountsOf("name: a"), want: []string{at + "mountPoint: Required value"}},

		{name: "a name with dots and capitals", spec: mountsOf(oss("name: Data_1.x-y"))},
		{name: "a name with a slash", spec: mountsOf(oss("name: a/b")), want: []string{at + `name: Invalid value: "a/b"`}},
		{name: "a name of dots", spec: mountsOf(oss("name: '..'")), want: []string{at + `name: Invalid value: ".."`}},
		{name: "a long name", spec: mountsOf(oss("name: " + strings.Repeat("n", 64))), want: []string{at + "name: Invalid value"}},
		{name: "the longest name", spec: mountsOf(oss("name: " + strings.Repeat("n", 63)))},
		{name: "a name twice", spec: mountsOf(oss("name: a"), oss("name: b"), oss("name: a")), want: []string{`spec.mounts[2].name: Invalid value: "a": also the name of mounts[0]`}},
		{name: "unnamed mounts of one bucket", spec: mountsOf(oss("path: /a"), oss("path: /b"), oss("path: /c"))},
		{name: "a made name and a given one", spec: mountsOf(oss("path: /a"), oss("name: bucket"))},

		{name: "a path", spec: mountsOf(oss("path: /data/train"))},
		{name: "the root", spec: mountsOf(oss("path: /"))},
		{name: "a relative path", spec: mountsOf(oss("path: data")), want: []string{at + `path: Invalid value: "data": not a clean absolute path: write /data`}},
		{name: "a path with a slash behind it", spec: mountsOf(oss("path: /data/")), want: []string{at + `path: Invalid value: "/data/": not a clean absolute path: write /data`}},
		{name: "a path that goes up", spec: mountsOf(oss("path: /a/../b")), want: []string{at + `path: Invalid value: "/a/../b": not a clean absolute path: write /b`}},
		{name: "a path with a line break", spec: mountsOf(oss(`path: "/a\nb"`)), want: []string{at + "path: Invalid value"}},
		{name: "a path twice", spec: mountsOf(oss("name: a, path: /x"), oss("name: b, path: /x")), want: []string{`spec.mounts[1].path: Invalid value: "/x": also the path of mounts[0]`}},
		{name: "a path that is another's name", spec: mountsOf(oss("name: a"), oss("name: b, path: /a")), want: []string{`spec.mounts[1].path: Invalid value: "/a"`}},
		{name: "a path inside another", spec: mountsOf(oss("name: a, path: /x/y"), oss("name: b, path: /x")), want: []string{`spec.mounts[0].path: Invalid value: "/x/y": inside "/x", the path of mounts[1]`}},
		{name: "a path inside the root", spec: mountsOf(oss("name: a, path: /"), oss("name: b")), want: []string{`spec.mounts[1].path: Invalid value: "/b": inside "/"`}},
		{name: "paths that only look alike", spec: mountsOf(oss("name: a, path: /x"), oss("name: b, path: /xy"))},
	})
}

func TestMountPoints(t *testing.T) {
	point := func(mountPoint string) string {
		return mountsOf("mountPoint: " + mountPoint + ", options: {fs.oss.endpoint: e, fs.s3.endpoint: e}")
	}
	invalid := []string{"spec.mounts[0].mountPoint: Invalid value"}
	checkRules(t, DatasetKind, []rule{
		{name: "oss", spec: point("'oss://bucket'")},
		{name: "oss with a prefix", spec: point("'oss://bucket/a/b c/'")},
		{name: "s3", spec: point("'s3://my.bucket/'")},
		{name: "cos", spec: point("'cos://bucket-125/'")},
		{name: "obs", spec: point("'obs://bucket/'")},
		{name: "dls", spec: point("'dls://bucket/'")},
		{name: "hdfs", spec: point("'hdfs://namenode:8020/path'")},
		{name: "pvc", spec: point("'pvc://claim/sub'")},
		{name: "local", spec: point("'local:///data'")},
		{name: "file", spec: point("'file:///data/'")},
		{name: "the file system's root", spec: point("'local:///'")},
		{name: "the placeholder of an example", spec: point("'oss://<oss_bucket>/<bucket_dir>'")},
		{name: "an unknown scheme", spec: point("'gs://bucket/'"), want: invalid},
		{name: "s3a", spec: point("'s3a://bucket/'"), want: invalid},
		{name: "capitals", spec: point("'OSS://bucket/'"), want: []string{`spec.mounts[0].mountPoint: Invalid value: "OSS://bucket/": the scheme is in upper case: write oss://bucket/`}},
		{name: "no scheme", spec: point("bucket/path"), want: invalid},
		{name: "an empty scheme", spec: point("'://bucket'"), want: invalid},
		{name: "one slash", spec: point("'oss:/bucket'"), want: invalid},
		{name: "no bucket", spec: point("'oss:///path'"), want: invalid},
		{name: "a bucket of dots", spec: point("'oss://../a'"), want: invalid},
		{name: "a bucket with a space", spec: point("'oss://my bucket/'"), want: invalid},
		{name: "credentials", spec: point("'oss://id:S3CR3T@bucket/'"), want: []string{"spec.mounts[0].mountPoint: Forbidden: a mount point must not contain credentials"}},
		{name: "an at sign in a prefix", spec: point("'oss://bucket/a@b/'")},
		{name: "a prefix with a parent directory", spec: point("'oss://bucket/a/../b'"), want: invalid},
		{name: "a prefix with an empty element", spec: point("'s3://bucket/a//b'"), want: invalid},
		{name: "local with a host", spec: point("'local://data'"), want: []string{`spec.mounts[0].mountPoint: Invalid value: "local://data": not an absolute directory: write local:///data`}},
		{name: "local with a parent directory", spec: point("'local:///a/../b'"), want: invalid},
		{name: "pvc with capitals", spec: point("'pvc://Claim/sub'"), want: invalid},
		{name: "a line break", spec: point(`"oss://bucket/\n"`), want: invalid},
	})
}

func TestStoreOptions(t *testing.T) {
	checkRules(t, DatasetKind, []rule{
		{name: "an endpoint for all", spec: "sharedOptions: {fs.oss.endpoint: e}\n" + mountsOf("mountPoint: 'oss://b/'")},
		{name: "an endpoint in a Secret", spec: mountsOf("mountPoint: 'oss://b/', encryptOptions: [{name: fs.oss.endpoint, valueFrom: {secretKeyRef: {name: s, key: e}}}]")},
		{name: "no endpoint", spec: mountsOf("mountPoint: 'oss://b/'"), want: []string{"spec.mounts[0].options[fs.oss.endpoint]: Required value"}},
		{name: "an empty endpoint", spec: mountsOf("mountPoint: 'oss://b/', options: {fs.oss.endpoint: ' '}"), want: []string{"spec.mounts[0].options[fs.oss.endpoint]: Required value"}},
		{name: "s3 with a region", spec: mountsOf("mountPoint: 's3://b/', options: {fs.s3.region: us-east-1}")},
		{name: "s3 with neither", spec: mountsOf("mountPoint: 's3://b/'"), want: []string{"spec.mounts[0].options[fs.s3.endpoint]: Required value"}},
		{name: "a directory needs nothing", spec: mountsOf("mountPoint: 'local:///data'")},
		{name: "an option with a slash", spec: mountsOf("mountPoint: 'local:///data', options: {a/b: c}"), want: []string{`spec.mounts[0].options[a/b]: Invalid value: "a/b"`}},
		{name: "a shared option with a space", spec: "sharedOptions: {'a b': c}\n" + mountsOf("mountPoint: 'local:///data'"), want: []string{`spec.sharedOptions[a b]: Invalid value: "a b"`}},
	})
}

func TestCredentials(t *testing.T) {
	with := func(more string) string {
		return mountsOf("mountPoint: 'oss://b/', options: {fs.oss.endpoint: e" + more)
	}
	ref := func(option string) string {
		return "{name: " + option + ", valueFrom: {secretKeyRef: {name: s, key: k}}}"
	}
	const options, encrypted = "spec.mounts[0].options", "spec.mounts[0].encryptOptions"
	checkRules(t, DatasetKind, []rule{
		{name: "both in clear", spec: with(", fs.oss.accessKeyId: i, fs.oss.accessKeySecret: s}")},
		{name: "neither", spec: with("}")},
		{name: "both in a Secret", spec: with("}, encryptOptions: [" + ref("fs.oss.accessKeyId") + "," + ref("fs.oss.accessKeySecret") + "]")},
		{name: "one here, one there", spec: with(", fs.oss.accessKeyId: i}, encryptOptions: [" + ref("fs.oss.accessKeySecret") + "]")},
		{name: "temporary", spec: with(", fs.oss.accessKeyId: i, fs.oss.accessKeySecret: s, fs.oss.securityToken: t}")},
		{name: "shared and own", spec: "sharedOptions: {fs.oss.accessKeyId: i}\n" + with(", fs.oss.accessKeySecret: s}")},
		{name: "shared in a Secret, own in clear", spec: "sharedEncryptOptions: [" + ref("fs.oss.accessKeyId") + "]\n" + with(", fs.oss.accessKeySecret: s}")},
		{name: "only the id", spec: with(", fs.oss.accessKeyId: i}"), want: []string{options + "[fs.oss.accessKeySecret]: Required value: fs.oss.accessKeyId is set without it"}},
		{name: "only the secret", spec: with(", fs.oss.accessKeySecret: s}"), want: []string{options + "[fs.oss.accessKeyId]: Required value"}},
		{name: "only the id, in a Secret", spec: with("}, encryptOptions: [" + ref("fs.oss.accessKeyId") + "]"), want: []string{options + "[fs.oss.accessKeySecret]: Required value"}},
		{name: "only the token", spec: with(", fs.oss.securityToken: t}"), want: []string{options + "[fs.oss.accessKeyId]: Required value"}},
		{name: "half a pair, shared", spec: "sharedOptions: {fs.oss.accessKeyId: i}\n" + with("}"), want: []string{options + "[fs.oss.accessKeySecret]: Required value"}},
		{name: "half a pair of another store", spec: with(", fs.s3.accessKeyId: i}"), want: []string{options + "[fs.s3.accessKeySecret]: Required value"}},
		{name: "an empty id", spec: with(", fs.oss.accessKeyId: '', fs.oss.accessKeySecret: s}"), want: []string{options + "[fs.oss.accessKeyId]: Required value: the value is empty"}},
		{name: "other capitals", spec: with(", fs.oss.accesskeyid: i}"), want: []string{options + `[fs.oss.accesskeyid]: Invalid value: "fs.oss.accesskeyid": option names are case-sensitive: write fs.oss.accessKeyId`}},

		{name: "in clear and in a Secret", spec: with(", fs.oss.accessKeyId: i, fs.oss.accessKeySecret: s}, encryptOptions: [" + ref("fs.oss.accessKeyId") + "]"), want: []string{encrypted + "[0].name: Forbidden: fs.oss.accessKeyId is also set in plain text"}},
		{name: "twice in Secrets", spec: with("}, encryptOptions: [" + ref("a") + "," + ref("a") + "]"), want: []string{encrypted + `[1].name: Invalid value: "a": duplicate of entry 0`}},
		{name: "no option", spec: with("}, encryptOptions: [{valueFrom: {secretKeyRef: {name: s, key: k}}}]"), want: []string{encrypted + "[0].name: Required value"}},
		{name: "no Secret", spec: with("}, encryptOptions: [{name: a, valueFrom: {secretKeyRef: {key: k}}}]"), want: []string{encrypted + "[0].valueFrom.secretKeyRef.name: Required value"}},
		{name: "no key", spec: with("}, encryptOptions: [{name: a, valueFrom: {secretKeyRef: {name: s}}}]"), want: []string{encrypted + "[0].valueFrom.secretKeyRef.key: Required value"}},
		{name: "no name of a Secret", spec: with("}, encryptOptions: [{name: a, valueFrom: {secretKeyRef: {name: S, key: k}}}]"), want: []string{encrypted + `[0].valueFrom.secretKeyRef.name: Invalid value: "S"`}},
		{name: "no key of a Secret", spec: with("}, encryptOptions: [{name: a, valueFrom: {secretKeyRef: {name: s, key: ../k}}}]"), want: []string{encrypted + `[0].valueFrom.secretKeyRef.key: Invalid value: "../k"`}},
		{name: "shared, without a Secret", spec: "sharedEncryptOptions: [{name: a}]\n" + with("}"), want: []string{"spec.sharedEncryptOptions[0].valueFrom.secretKeyRef.name: Required value", "spec.sharedEncryptOptions[0].valueFrom.secretKeyRef.key: Required value"}},
	})
}

func TestCacheOptions(t *testing.T) {
	with := func(option string) string { return mountsOf("mountPoint: 'local:///d', options: {" + option + "}") }
	invalid := func(option, value string) []string {
		return []string{"spec.mounts[0].options[" + option + `]: Invalid value: "` + value + `"`}
	}
	checkRules(t, DatasetKind, []rule{
		{name: "ONCE", spec: with("metaPolicy: ONCE")},
		{name: "ALWAYS", spec: with("metaPolicy: ALWAYS")},
		{name: "another metaPolicy", spec: with("metaPolicy: once"), want: invalid("metaPolicy", "once")},
		{name: "metapolicy", spec: with("metapolicy: ONCE"), want: invalid("metapolicy", "metapolicy")},
		{name: "DISTRIBUTED", spec: with("cacheStrategy: DISTRIBUTED")},
		{name: "DHT", spec: with("cacheStrategy: DHT")},
		{name: "another cacheStrategy", spec: with("cacheStrategy: HASH"), want: invalid("cacheStrategy", "HASH")},
		{name: "WRITE_AROUND", spec: with("writePolicy: WRITE_AROUND")},
		{name: "WRITE_THROUGH", spec: with("writePolicy: WRITE_THROUGH")},
		{name: "CACHE_ONLY", spec: with("writePolicy: CACHE_ONLY")},
		{name: "another writePolicy", spec: with("writePolicy: WRITE_BACK"), want: invalid("writePolicy", "WRITE_BACK")},
		{name: "replicas", spec: with("readCacheReplica: '2', writeCacheReplica: '1'")},
		{name: "no replicas", spec: with("readCacheReplica: '0'"), want: invalid("readCacheReplica", "0")},
		{name: "many replicas", spec: with("writeCacheReplica: many"), want: invalid("writeCacheReplica", "many")},
		{name: "posixMetadata", spec: with("posixMetadata: 'true'")},
		{name: "another posixMetadata", spec: with("posixMetadata: 'yes'"), want: invalid("posixMetadata", "yes")},
		{name: "locks", spec: with("locks: cluster")},
		{name: "other locks", spec: with("locks: global"), want: invalid("locks", "global")},
		{name: "shared", spec: "sharedOptions: {metaPolicy: NEVER}\n" + mountsOf("mountPoint: 'local:///d'"), want: invalid("metaPolicy", "NEVER")},
		{name: "shared and put right", spec: "sharedOptions: {metaPolicy: NEVER}\n" + with("metaPolicy: ONCE")},
		{name: "in a Secret", spec: mountsOf("mountPoint: 'local:///d', encryptOptions: [{name: metaPolicy, valueFrom: {secretKeyRef: {name: s, key: k}}}]"), want: []string{"spec.mounts[0].options[metaPolicy]: Forbidden"}},
	})
}

func TestDatasetWords(t *testing.T) {
	mounts := mountsOf("mountPoint: 'local:///d'") + "\n"
	checkRules(t, DatasetKind, []rule{
		{name: "read-only", spec: mounts + "accessModes: [ReadOnlyMany]"},
		{name: "writable", spec: mounts + "accessModes: [ReadWriteMany]"},
		{name: "all modes", spec: mounts + "accessModes: [ReadWriteOnce, ReadWriteOncePod, ReadWriteMany, ReadOnlyMany]"},
		{name: "another mode", spec: mounts + "accessModes: [ReadWriteMany, ROX]", want: []string{`spec.accessModes[1]: Invalid value: "ROX"`}},
		{name: "exclusive", spec: mounts + "placement: Exclusive"},
		{name: "shared", spec: mounts + "placement: Shared"},
		{name: "default placement", spec: mounts + `placement: ""`},
		{name: "another placement", spec: mounts + "placement: Alone", want: []string{`spec.placement: Invalid value: "Alone"`}},
		{name: "an owner", spec: mounts + "owner: {uid: 0, gid: 2147483647, user: '', group: ''}"},
		{name: "no owner", spec: mounts + "owner: {uid: -1, gid: 2147483648, user: '', group: ''}", want: []string{"spec.owner.uid: Invalid value: -1", "spec.owner.gid: Invalid value: 2147483648"}},
	})
}

// Errors and warnings never contain credentials.
func TestNoCredentialIsRepeated(t *testing.T) {
	const secret = "S3CR3T"
	for _, spec := range []string{
		mountsOf("mountPoint: 'oss://b/', options: {fs.oss.accessKeyId: S3CR3T}"),
		mountsOf("mountPoint: 'oss://b/', options: {fs.oss.accessKeySecret: S3CR3T, fs.oss.accessKeyID: S3CR3T}"),
		mountsOf("mountPoint: 'oss://S3CR3T:S3CR3T@b/', options: {fs.oss.endpoint: e}"),
		mountsOf("mountPoint: 'S3://S3CR3T@b/', options: {fs.oss.endpoint: e}"),
		mountsOf("mountPoint: 'gs://S3CR3T@b/'"),
		mountsOf("mountPoint: 'oss://id:S3CR3T/a@b/'"),
		mountsOf("mountPoint: 'id:S3CR3T@b'"),
		"sharedOptions: {fs.oss.securityToken: S3CR3T, 'pass word': S3CR3T}\n" + mountsOf("mountPoint: 'oss://b/'"),
	} {
		errs, warnings := Validate(decodeOne(t, manifest(DatasetKind, "", spec)))
		if len(errs) == 0 {
			t.Errorf("accepted: %s", spec)
		}
		for _, err := range errs {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("an error repeats a credential: %v", err)
			}
		}
		if all := strings.Join(warnings, "\n"); strings.Contains(all, secret) {
			t.Errorf("a warning repeats a credential: %s", all)
		}
	}
}

func TestDatasetWarnings(t *testing.T) {
	spec := "accessModes: [ReadOnlyMany, ReadWriteMany]\nsharedOptions: {cacheStrategy: DHT}\n" +
		mountsOf("mountPoint: 'cos://b/', shared: true",
			"mountPoint: 'oss://b/', name: b2, options: {fs.oss.endpoint: <E>, fs.oss.accessKeyId: i, fs.oss.accessKeySecret: s, writePolicy: CACHE_ONLY}")
	errs, warnings := Validate(decodeOne(t, manifest(DatasetKind, "", spec)))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got := strings.Join(warnings, "\n")
	for _, want := range []string{
		"spec.accessModes: ReadOnlyMany makes the whole Dataset read-only",
		"spec.mounts[0].mountPoint: cos:// is accepted but not served yet",
		"spec.mounts[0].shared: has no effect",
		"spec.mounts[1].options[fs.oss.endpoint]: contains a placeholder",
		"spec.mounts[1].options[fs.oss.accessKeySecret]: a credential in plain text",
		"spec.mounts[1].options[writePolicy]: has no effect",
		"spec.sharedOptions[cacheStrategy]: has no effect yet",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
}

// Writable Datasets are accepted with a warning that writing is not supported yet.
func TestWritableDatasetsAreServedReadOnly(t *testing.T) {
	for modes, warned := range map[string]bool{
		"[]": false, "[ReadOnlyMany]": false,
		"[ReadWriteMany]": true, "[ReadWriteOnce]": true, "[ReadWriteOncePod]": true, "[ReadWriteOnce, ReadWriteMany]": true,
	} {
		object := decodeOne(t, manifest(DatasetKind, "", "accessModes: "+modes+"\n"+mountsOf("mountPoint: 'local:///d'")))
		errs, warnings := Validate(object)
		if len(errs) > 0 {
			t.Errorf("accessModes %s: %v", modes, errs)
		}
		if got := strings.Contains(strings.Join(warnings, "\n"), "spec.accessModes: writing is not supported yet"); got != warned {
			t.Errorf("accessModes %s: warnings %q", modes, warnings)
		}
		dataset, _ := object.(*Dataset)
		if got := ServedAccess(dataset.Spec.ReadOnly()); got != AccessReadOnly {
			t.Errorf("accessModes %s: served with access %s", modes, got)
		}
	}
}

// The seed's two manifests are valid as they are, and the only warnings are about their
// placeholders.
func TestTheSeedsPair(t *testing.T) {
	for _, file := range []string{"testdata/seed-dataset.yaml", "testdata/seed-runtime.yaml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		object := decodeOne(t, string(raw))
		for _, how := range []string{"as written", "with defaults"} {
			errs, warnings := Validate(object)
			if len(errs) > 0 {
				t.Errorf("%s %s: %v", file, how, errs)
			}
			for _, w := range warnings {
				if !strings.Contains(w, "placeholder") {
					t.Errorf("%s %s: %s", file, how, w)
				}
			}
			SetDefaults(object)
		}
	}
}
