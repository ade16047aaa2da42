package v1alpha1

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreignDatasets are Datasets that Fluid accepts and a JindoRuntime cannot
// serve, in the forms of Fluid's published samples.
func foreignDatasets() map[string]string {
	dataset := func(name, spec string) string { return manifest(DatasetKind, name, spec) }
	return map[string]string{
		"a web server of Alluxio":    dataset("hbase", mountsOf("mountPoint: 'https://mirrors.example.com/apache/hbase/stable/', name: hbase")),
		"a claim in capitals":        dataset("demo", mountsOf("mountPoint: 'pvc://testPVC', name: demo")),
		"oss without an endpoint":    dataset("demo", mountsOf("mountPoint: 'oss://bucket/', name: demo")),
		"a volume of JuiceFS":        dataset("jfsdemo", "accessModes: [ReadWriteMany]\n"+mountsOf("name: minio, mountPoint: 'juicefs:///', options: {bucket: '<bucket>', storage: minio}")),
		"a reference":                dataset("phy", mountsOf("mountPoint: 'dataset://default/phy-1'")),
		"a job of Vineyard":          dataset("vineyard", "placement: Shared"),
		"a web server without names": dataset("demo", mountsOf("mountPoint: 'https://a.example.com/x'", "mountPoint: 'https://b.example.com/x'")),
		"a name with dots":           dataset("spark.v3", mountsOf("mountPoint: 'https://a.example.com/x'")),
		"one name twice":             dataset("demo", mountsOf("mountPoint: 'https://a.example.com/x', name: a", "mountPoint: 'https://b.example.com/x', name: a")),
		"an option of another store": dataset("demo", mountsOf("mountPoint: 'gs://bucket/', name: a, options: {metaPolicy: NEVER, fs.gcs.accessKeyId: x}")),
	}
}

// The errors of a claimed Dataset are warnings for one that no JindoRuntime claims.
func TestValidateUnclaimed(t *testing.T) {
	for name, text := range foreignDatasets() {
		t.Run(name, func(t *testing.T) {
			dataset, _ := decodeOne(t, text).(*Dataset)
			before := dataset.DeepCopy()
			errs, _ := Validate(dataset)
			if len(errs) == 0 {
				t.Fatal("a JindoRuntime could serve this Dataset")
			}
			got := strings.Join(ValidateUnclaimed(dataset), "\n")
			for _, err := range errs {
				if !strings.Contains(got, "a JindoRuntime could not serve this Dataset: "+err.Error()) {
					t.Errorf("no warning about %v in\n%s", err, got)
				}
			}
			if strings.Contains(got, "has no effect") || strings.Contains(got, "unknown option") || strings.Contains(got, "not supported yet") {
				t.Errorf("features of the JindoRuntime are mentioned:\n%s", got)
			}
			if !equalJSON(t, dataset, before) {
				t.Error("ValidateUnclaimed changed the object")
			}
		})
	}
}

func TestValidateUnclaimedWarnsOfCredentials(t *testing.T) {
	spec := mountsOf("mountPoint: 'oss://<bucket>/', options: {fs.oss.endpoint: <E>, fs.oss.accessKeyId: i, fs.oss.accessKeySecret: S3CR3T}")
	dataset, _ := decodeOne(t, manifest(DatasetKind, "", spec)).(*Dataset)
	got := strings.Join(ValidateUnclaimed(dataset), "\n")
	for _, want := range []string{
		"spec.mounts[0].mountPoint: contains a placeholder",
		"spec.mounts[0].options[fs.oss.endpoint]: contains a placeholder",
		"spec.mounts[0].options[fs.oss.accessKeySecret]: a credential in plain text",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "S3CR3T") {
		t.Errorf("a warning repeats a credential: %s", got)
	}
}

func TestUnknownOptions(t *testing.T) {
	const at = "spec.mounts[0].options["
	encrypted := func(name string) string {
		return mountsOf("mountPoint: 's3://bkt/', options: {fs.s3.region: r}, encryptOptions: [{name: " + name + ", valueFrom: {secretKeyRef: {name: s, key: k}}}]")
	}
	s3 := func(option string) string {
		return mountsOf("mountPoint: 's3://bkt/', options: {fs.s3.region: r, " + option + ": x}")
	}
	for _, test := range []struct{ name, spec, want string }{
		{"a typing error", s3("fs.s3.enpoint"), at + "fs.s3.enpoint]: unknown option, which has no effect: did you mean fs.s3.endpoint?"},
		{"another case", s3("fs.s3.pathstyle"), "did you mean fs.s3.pathStyle?"},
		{"a policy", s3("metaPolcy"), "did you mean metaPolicy?"},
		{"in a Secret", encrypted("fs.s3.secretToken"), "spec.mounts[0].encryptOptions[0].name: unknown option, which has no effect: did you mean fs.s3.securityToken?"},
		{"of another store", s3("fs.oss.endpoint"), at + "fs.oss.endpoint]: has no effect on a mount of s3://: write fs.s3.endpoint"},
		{"of another store only", mountsOf("mountPoint: 'oss://bkt/', options: {fs.oss.endpoint: e, fs.s3.conditions: x}"), "has no effect on a mount of oss://: remove it"},
		{"of another system", s3("juicefs.bucket.name"), "unknown option, which has no effect: remove it, or write one of metaPolicy"},
		{"of a directory", mountsOf("mountPoint: 'local:///d', options: {fs.s3.region: r}"), "has no effect on a mount of local://: remove it"},
		{"shared, misspelled", "sharedOptions: {fs.s3.regoin: x}\n" + mountsOf("mountPoint: 's3://bkt/', options: {fs.s3.region: r}"), "spec.sharedOptions[fs.s3.regoin]: unknown option, which has no effect: did you mean fs.s3.region?"},
		{"shared, of another store", "sharedOptions: {fs.oss.region: x}\n" + mountsOf("mountPoint: 's3://bkt/', options: {fs.s3.region: r}"), "spec.sharedOptions[fs.oss.region]: has no effect on a mount of s3://: write fs.s3.region"},
		{"shared by two stores", "sharedOptions: {fs.oss.endpoint: x}\n" + mountsOf("mountPoint: 's3://bkt/', options: {fs.s3.region: r}", "mountPoint: 'oss://bkt/', name: b"), ""},
		{"all of s3", mountsOf("mountPoint: 's3://bkt/', options: {fs.s3.region: r, fs.s3.endpoint: e, fs.s3.pathStyle: auto, fs.s3.conditions: c, fs.s3.accessKeyId: i, fs.s3.accessKeySecret: s, fs.s3.securityToken: t}"), ""},
		{"of a store without a driver", mountsOf("mountPoint: 'hdfs://n:8020/', options: {fs.hdfs.anything: x}"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			errs, warnings := Validate(decodeOne(t, manifest(DatasetKind, "", test.spec)))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			got := strings.Join(warnings, "\n")
			if test.want == "" && (strings.Contains(got, "unknown option") || strings.Contains(got, "on a mount of")) || !strings.Contains(got, test.want) {
				t.Errorf("warnings are\n%s\nwant %q", got, test.want)
			}
		})
	}
}

// The known options are the ones that the drivers read.
func TestKnownOptionsAreTheDrivers(t *testing.T) {
	for _, scheme := range []string{"oss", "s3"} {
		files, err := filepath.Glob("../../ufs/" + scheme + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no sources of the driver of %s: %v", scheme, err)
		}
		read := map[string]bool{}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`"fs\.`+scheme+`\.([A-Za-z]+)"`).FindAllStringSubmatch(string(text), -1) {
				read[match[1]] = true
			}
		}
		known := storeOptionNames(scheme)
		for name := range sorted(read) {
			if !slices.Contains(known, name) {
				t.Errorf("the driver of %s reads fs.%s.%s, which is not a known option", scheme, scheme, name)
			}
		}
		for _, name := range known {
			if !read[name] {
				t.Errorf("the driver of %s does not read the known option fs.%s.%s", scheme, scheme, name)
			}
		}
	}
}

func TestImplausibleValues(t *testing.T) {
	level := func(fields string) string { return "tieredstore: {levels: [{" + fields + "}]}" }
	for _, test := range []struct{ name, kind, spec, want string }{
		{"200T on a disk", JindoRuntimeKind, level("mediumtype: SSD, path: /mnt/a, quota: 200T"), "spec.tieredstore.levels[0].quota: more than 100Ti for one path"},
		{"200T on two disks", JindoRuntimeKind, level("mediumtype: SSD, path: '/mnt/a,/mnt/b', quota: 200T"), ""},
		{"200T as an entry", JindoRuntimeKind, level("mediumtype: HDD, path: '/mnt/a,/mnt/b', quotaList: '1T,200T'"), "spec.tieredstore.levels[0].quotaList: more than 100Ti for one path"},
		{"200G on a disk", JindoRuntimeKind, level("mediumtype: SSD, path: /mnt/a, quota: 200G"), ""},
		{"50T in memory", JindoRuntimeKind, level("mediumtype: MEM, quota: 50T"), "more than 24Ti for one path"},
		{"an old bucket", DatasetKind, mountsOf("mountPoint: 's3://Bucket_1/', options: {fs.s3.region: r}"), `spec.mounts[0].mountPoint: "Bucket_1" is not a valid bucket name (3 to 63`},
		{"a bucket with two dots", DatasetKind, mountsOf("mountPoint: 's3://aaa..b/', options: {fs.s3.region: r}"), "is not a valid bucket name"},
		{"a short bucket", DatasetKind, mountsOf("mountPoint: 's3://b/', options: {fs.s3.region: r}"), "is not a valid bucket name"},
		{"a bucket", DatasetKind, mountsOf("mountPoint: 's3://my-bucket.1/', options: {fs.s3.region: r}"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			errs, warnings := Validate(decodeOne(t, manifest(test.kind, "", test.spec)))
			if got := strings.Join(warnings, "\n"); len(errs) > 0 || (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("errors %v, warnings %q, want %q", errs, got, test.want)
			}
		})
	}
}

func TestBoundsOfMounts(t *testing.T) {
	many := make([]string, 0, maxMounts+1)
	for range maxMounts + 1 {
		many = append(many, "mountPoint: 'local:///d'")
	}
	for name, test := range map[string]struct{ spec, want string }{
		"many mounts":        {mountsOf(many...), "spec.mounts: Too many"},
		"a long mount point": {mountsOf("mountPoint: 'local:///" + strings.Repeat("d", maxMountPoint) + "'"), "longer than 4096 bytes"},
		"a long path":        {mountsOf("mountPoint: 'local:///d', path: /" + strings.Repeat("d", maxMountPath)), "longer than 1024 bytes"},
	} {
		errs, _ := Validate(decodeOne(t, manifest(DatasetKind, "", test.spec)))
		if !strings.Contains(errs.ToAggregate().Error(), test.want) {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
