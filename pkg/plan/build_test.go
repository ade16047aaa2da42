package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

var update = flag.Bool("update", false, "update the golden files")

// pair reads a Dataset and a JindoRuntime from a file.
func pair(t testing.TB, file string) (*v1alpha1.Dataset, *v1alpha1.JindoRuntime) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := v1alpha1.Decode(raw)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return objects[0].(*v1alpha1.Dataset), objects[1].(*v1alpha1.JindoRuntime)
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func build(t testing.TB, file string) *Plan {
	t.Helper()
	p, err := Build(pair(t, file))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return p
}

// Each testdata/*.yaml has an expected plan. Run with -update and review the
// difference.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			got := encode(t, build(t, file))
			golden := strings.TrimSuffix(file, ".yaml") + ".json"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the plan differs from %s; got\n%s", golden, got)
			}
		})
	}
}

// Equal inputs result in equal plans, and are not modified.
func TestBuildIsPure(t *testing.T) {
	for _, file := range []string{"testdata/seed.yaml", "testdata/mounts.yaml", "testdata/settings.yaml"} {
		dataset, runtime := pair(t, file)
		before := slices.Concat(encode(t, dataset), encode(t, runtime))
		first, err := Build(dataset, runtime)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			again, err := Build(dataset, runtime)
			if err != nil || !reflect.DeepEqual(again, first) {
				t.Fatalf("%s: another plan the next time, error %v", file, err)
			}
		}
		if after := slices.Concat(encode(t, dataset), encode(t, runtime)); !bytes.Equal(before, after) {
			t.Errorf("%s: Build changed its arguments", file)
		}
	}
}

func TestBuildWithoutDataset(t *testing.T) {
	_, runtime := pair(t, "testdata/seed.yaml")
	p, err := Build(nil, runtime)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Mounts) != 0 || p.Dataset != "" || p.Masters == nil || p.Workers == nil || p.Fuse == nil {
		t.Errorf("got %s", encode(t, p))
	}
	if want := `JindoRuntime "hadoop" serves no Dataset: create Dataset "hbase"`; !strings.HasPrefix(p.Unbound, want) {
		t.Errorf("Unbound is %q, want %q…", p.Unbound, want)
	}
}

func TestBuildRejectsInvalidInput(t *testing.T) {
	dataset, runtime := pair(t, "testdata/seed.yaml")
	two := runtime.DeepCopy()
	two.Spec.Master.Replicas = new(int32(2))
	if _, err := Build(dataset, two); err == nil || !strings.Contains(err.Error(), `JindoRuntime "hadoop": spec.master.replicas: Invalid value: 2`) {
		t.Errorf("two masters: %v", err)
	}
	none := dataset.DeepCopy()
	none.Spec.Mounts = nil
	if _, err := Build(none, runtime); err == nil || !strings.Contains(err.Error(), `Dataset "hbase": spec.mounts`) {
		t.Errorf("no mounts: %v", err)
	}
}

// flags lists all flags of each binary.
var flags = map[Role][]string{
	RoleMaster: {"name", "roster", "tls-dir", "data-dir", "listen", "raft-listen", "health-listen", "formed", "heartbeat-timeout", "election-timeout", "lease-timeout"},
	RoleWorker: {"name", "roster", "tls-dir", "data-dir", "tier", "credentials-dir", "socket-dir", "listen", "health-listen"},
	RoleFuse:   {"name", "roster", "tls-dir", "state-dir", "session-socket", "socket-dir", "credentials-dir", "health-listen", "attr-timeout", "entry-timeout", "negative-timeout", "read-timeout", "immutable", "uid", "gid"},
}

// Every argument is an existing flag, and every variable in it is set by a volume or by
// the executor.
func TestArgumentsAndVariables(t *testing.T) {
	variable := regexp.MustCompile(`\$\(([A-Z0-9_]+)\)`)
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, c := range build(t, file).Components() {
			known := map[string]bool{VarPodName: true, VarPodIP: true, VarFormed: c.Role == RoleMaster}
			used := map[string]bool{}
			names := map[string]bool{}
			for _, v := range c.Volumes {
				if names[v.Name] || known[v.Variable] {
					t.Errorf("%s: %s has volume %s or its variable twice", file, c.Name, v.Name)
				}
				names[v.Name], known[v.Variable] = true, true
				if (v.Kind == VolumeTier) != (v.Tier != nil) {
					t.Errorf("%s: volume %s of kind %s has tier %v", file, v.Name, v.Kind, v.Tier)
				}
			}
			for _, arg := range c.Args {
				flag, _, found := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				if !found || !slices.Contains(flags[c.Role], flag) {
					t.Errorf("%s: %s has no flag %q", file, c.Binary, arg)
				}
				for _, match := range variable.FindAllStringSubmatch(arg, -1) {
					used[match[1]] = true
					if !known[match[1]] {
						t.Errorf("%s: %s has no value in %q", file, match[1], arg)
					}
				}
			}
			for _, v := range c.Volumes {
				if !used[v.Variable] {
					t.Errorf("%s: no argument of %s uses %s", file, c.Name, v.Variable)
				}
			}
		}
	}
}

// Credentials are hidden when a plan is printed in any way, and are available by
// conversion to a string.
func TestCredentialsStayHidden(t *testing.T) {
	p := build(t, "testdata/mounts.yaml")
	printed := map[string]string{
		"json": string(encode(t, p)),
		"log":  p.Credentials[2].Literal["fs.s3.accessKeySecret"].LogValue().String(),
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		printed[format] = fmt.Sprintf(format, p.Credentials)
	}
	for how, text := range printed {
		for _, secret := range []string{"own-secret", "own-id", "shared-id"} {
			if strings.Contains(text, secret) {
				t.Errorf("printed with %s, the plan shows %s", how, secret)
			}
		}
	}
	if got := string(p.Credentials[2].Literal["fs.s3.accessKeySecret"]); got != "own-secret" {
		t.Errorf("the secret is %q", got)
	}
}

// TestDirectories checks from which directories of a worker mounts are served on
// Kubernetes.
func TestDirectories(t *testing.T) {
	const sources = `[{name: nas, nfs: {server: s, path: /}}, {name: keys, secret: {secretName: hadoop-jindofs-credentials}}, {name: all, projected: {sources: []}}, {name: text, configMap: {name: c}}]`
	for _, test := range []struct {
		mounts     string // of the workers
		mountPoint string
		served     bool
	}{
		{"[{name: nas, mountPath: /mnt/nas}]", "local:///mnt/nas", true},
		{"[{name: nas, mountPath: /mnt/nas}]", "file:///mnt/nas/", true},
		{"[{name: nas, mountPath: /mnt/nas}]", "local:///mnt/nas/a/b", true},
		{"[{name: nas, mountPath: /mnt/nas}]", "local:///mnt/nas2", false},
		{"[{name: nas, mountPath: /mnt/nas}]", "local:///mnt", false},
		{"[{name: nas, mountPath: /mnt/nas}]", "local:///", false},
		{"[{name: nas, mountPath: /mnt/nas}]", "local:///etc/jindo/credentials", false},
		{"[{name: nas, mountPath: /mnt/nas/}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /}]", "local:///etc/jindo/credentials", false},
		{"[{name: nas, mountPath: /etc}]", "local:///etc/jindo/credentials", false},
		{"[{name: nas, mountPath: /etc/jindo/credentials/sub}]", "local:///etc/jindo/credentials/sub", false},
		{"[{name: nas, mountPath: /var}]", "local:///var/lib/jindo", false},
		{"[{name: nas, mountPath: /var/cache/jindo/x}]", "local:///var/cache/jindo/x", false},
		{"[{name: nas, mountPath: /proc/1/root}]", "local:///proc/1/root", false},
		{"[{name: keys, mountPath: /keys}]", "local:///keys", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: keys, mountPath: /mnt/nas/keys}]", "local:///mnt/nas/keys", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: keys, mountPath: /mnt/nas/keys}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: keys, mountPath: /mnt}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: keys, mountPath: /mnt/keys}]", "local:///mnt/nas", true},
		{"[{name: all, mountPath: /keys}]", "local:///keys", false},
		// The kubelet takes a relative path as one below the root.
		{"[{name: nas, mountPath: /mnt/nas}, {name: keys, mountPath: mnt/nas/keys}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: keys, mountPath: ../mnt/nas/keys}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: mnt/nas}]", "local:///mnt/nas", false},
		// A link /etc/jindo in the volume would have the credentials mounted in /mnt/nas.
		{"[{name: nas, mountPath: /mnt/nas}, {name: nas, mountPath: /etc}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: nas, mountPath: /etc/jindo/x/..}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: text, mountPath: /etc/jindo/extra}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: text, mountPath: /run}]", "local:///mnt/nas", false},
		{"[{name: nas, mountPath: /mnt/nas}, {name: text, mountPath: /etc/ssl/certs}]", "local:///mnt/nas", true},
		{"[{name: text, mountPath: /text}]", "local:///text", false},
		{"[]", "local:///mnt/nas", false},
		{"[]", "oss://bucket/", true},
	} {
		objects, err := v1alpha1.Decode([]byte("apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: a}\nspec: {mounts: [{name: m, mountPoint: '" + test.mountPoint +
			"', options: {fs.oss.endpoint: e}}]}\n---\napiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: a}\nspec: {volumes: " + sources + ", worker: {volumeMounts: " + test.mounts + "}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		dataset, runtime := objects[0].(*v1alpha1.Dataset), objects[1].(*v1alpha1.JindoRuntime)
		p, err := Build(dataset, runtime)
		if err != nil {
			t.Fatal(err)
		}
		if served := len(p.Mounts) == 1; served != test.served || served == (len(p.Problems) == 1) {
			t.Errorf("%s with volumes %s: mounts %+v, problems %+v", test.mountPoint, test.mounts, p.Mounts, p.Problems)
		}
		if !test.served && (p.Problems[0].Condition != ConditionMountUnsupported || !strings.Contains(p.Problems[0].Message, "spec.worker.volumeMounts")) {
			t.Errorf("%s: %+v", test.mountPoint, p.Problems[0])
		}
		if p, err = BuildLocal(dataset, runtime); err != nil || len(p.Mounts) != 1 {
			t.Errorf("%s on one machine: %+v, %v", test.mountPoint, p, err)
		}
	}
}

func TestFuseOnly(t *testing.T) {
	if !build(t, "testdata/fuse-only.yaml").FuseOnly() {
		t.Error("the plan without masters and workers is not FuseOnly")
	}
	if build(t, "testdata/seed.yaml").FuseOnly() {
		t.Error("the seed's plan is FuseOnly")
	}
}

// FuzzBuild checks that everything that the validator accepts can be planned, and that
// names and paths of mounts are unique.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		objects, err := v1alpha1.Decode(raw)
		if err != nil {
			return
		}
		var dataset *v1alpha1.Dataset
		runtime := &v1alpha1.JindoRuntime{}
		runtime.Name = "hadoop"
		for _, o := range objects {
			switch o := o.(type) {
			case *v1alpha1.Dataset:
				dataset = o
			case *v1alpha1.JindoRuntime:
				runtime = o
			}
		}
		accepted := true
		if errs, _ := v1alpha1.Validate(runtime); len(errs) > 0 {
			accepted = false
		}
		if dataset != nil {
			if errs, _ := v1alpha1.Validate(dataset); len(errs) > 0 {
				accepted = false
			}
		}
		p, err := Build(dataset, runtime)
		if !accepted {
			return
		}
		if err != nil {
			t.Fatalf("accepted but not planned: %v", err)
		}
		seen := map[string]bool{}
		for _, m := range p.Mounts {
			if seen["name "+m.Name] || seen["path "+m.Path] || !strings.HasPrefix(m.Path, "/") {
				t.Fatalf("mounts are %+v", p.Mounts)
			}
			seen["name "+m.Name], seen["path "+m.Path] = true, true
			for option := range m.Options {
				if v1alpha1.SecretOption(option) {
					t.Fatalf("mount %s holds the secret option %s", m.Name, option)
				}
			}
		}
	})
}
