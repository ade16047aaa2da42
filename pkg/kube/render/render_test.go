package render

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
)

var update = flag.Bool("update", false, "update the golden files")

// input returns the Input for the Dataset and JindoRuntime in a file.
func input(t testing.TB, file string) Input {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := v1alpha1.Decode(raw)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	in := Input{
		Images:    v1alpha1.RuntimeImages{Jindo: "ghcr.io/jindo-io/jindo:v1", Fuse: "ghcr.io/jindo-io/jindo:v1"},
		ClusterID: "0123456789abcdef", CA: []byte("certificate\n"), MasterNodes: []string{"node-a", "node-b", "node-c"},
		HostPaths: allow(t, "/mnt/disk1,/mnt/ssd0,/mnt/ssd1"),
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *v1alpha1.Dataset:
			v1alpha1.SetDefaults(o)
			in.Dataset = o
		case *v1alpha1.JindoRuntime:
			v1alpha1.SetDefaults(o)
			o.UID = types.UID("uid-of-" + o.Name)
			in.Runtime = o
		}
	}
	if in.Plan, err = plan.Build(in.Dataset, in.Runtime); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return in
}

func encode(t testing.TB, objects []client.Object) []byte {
	t.Helper()
	var b bytes.Buffer
	for i, o := range objects {
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(raw)
	}
	return b.Bytes()
}

func files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	return files
}

// TestGolden compares the objects of each testdata/*.yaml with its golden file. Run
// with -update to update the golden files, and review the difference.
func TestGolden(t *testing.T) {
	for _, file := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			objects, err := Objects(input(t, file))
			if err != nil {
				t.Fatal(err)
			}
			got, golden := encode(t, objects), strings.TrimSuffix(file, ".yaml")+".golden"
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
				t.Errorf("the objects differ from %s; got\n%s", golden, got)
			}
		})
	}
}

// templates returns the pod templates among objects, by object name.
func templates(objects []client.Object) map[string]*corev1.PodTemplateSpec {
	all := map[string]*corev1.PodTemplateSpec{}
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.StatefulSet:
			all[o.Name] = &o.Spec.Template
		case *appsv1.DaemonSet:
			all[o.Name] = &o.Spec.Template
		}
	}
	return all
}

// TestPodSecurity checks which pods a namespace that enforces "restricted" admits,
// with the code of the admission plugin.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, test := range []struct {
		file    string
		refused []string
	}{
		{"testdata/emptydir.yaml", nil},
		{"testdata/memory.yaml", nil},
		// "restricted" forbids root and hostPath volumes.
		{"testdata/seed.yaml", []string{"hadoop-jindofs-master", "hadoop-jindofs-worker"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			objects, err := Objects(input(t, test.file))
			if err != nil {
				t.Fatal(err)
			}
			refused := map[string]bool{}
			for _, name := range test.refused {
				refused[name] = true
			}
			for name, template := range templates(objects) {
				result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec))
				if result.Allowed == refused[name] {
					t.Errorf("%s allowed: %v (%s)", name, result.Allowed, result.ForbiddenDetail())
				}
			}
		})
	}
}

// TestLeastPrivilege checks that pods have no capabilities, also if they run as
// root, and that FUSE servers have no volumes of the node.
func TestLeastPrivilege(t *testing.T) {
	for _, file := range files(t) {
		objects, err := Objects(input(t, file))
		if err != nil {
			t.Fatal(err)
		}
		for name, template := range templates(objects) {
			c := template.Spec.Containers[0].SecurityContext
			if len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL" || len(c.Capabilities.Add) > 0 ||
				c.Privileged != nil || *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem {
				t.Errorf("%s: %s has more privileges than it needs: %+v", file, name, c)
			}
			if *template.Spec.AutomountServiceAccountToken {
				t.Errorf("%s: %s has a service account token", file, name)
			}
			if strings.HasSuffix(name, "-fuse") {
				for _, v := range template.Spec.Volumes {
					if v.CSI == nil && v.EmptyDir == nil && v.Name != "credentials" {
						t.Errorf("%s: %s has volume %s", file, name, v.Name)
					}
				}
			}
		}
	}
}

// TestPodsShowTheirTemplate: the digest changes with the template, and with nothing else.
func TestPodsShowTheirTemplate(t *testing.T) {
	digests := func(edit func(in *Input)) map[string]string {
		in := input(t, "testdata/seed.yaml")
		edit(&in)
		objects, err := Objects(in)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for name, template := range templates(objects) {
			all[name] = Digest(template)
			pod := &corev1.Pod{ObjectMeta: template.ObjectMeta}
			if all[name] == "" || !Current(pod, all[name]) || Current(pod, "other") || !Current(pod, "") {
				t.Errorf("%s: digest %q", name, all[name])
			}
		}
		return all
	}
	before := digests(func(*Input) {})
	if after := digests(func(in *Input) { in.Formed, in.Plan.Workers.Replicas = true, 9 }); !maps.Equal(before, after) {
		t.Errorf("digests %v after scaling, before %v", after, before)
	}
	after := digests(func(in *Input) { in.Images.Fuse = "ghcr.io/jindo-io/jindo:v2" })
	if after["hadoop-jindofs-fuse"] == before["hadoop-jindofs-fuse"] || after["hadoop-jindofs-worker"] != before["hadoop-jindofs-worker"] {
		t.Errorf("digests %v after another image, before %v", after, before)
	}
}
