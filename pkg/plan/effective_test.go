package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

const effectivePair = `
apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: d, namespace: ns}
spec:
  sharedOptions: {fs.s3.endpoint: 'http://one'}
  mounts:
  - name: a
    mountPoint: s3://a/
    encryptOptions: [{name: fs.s3.accessKeyId, valueFrom: {secretKeyRef: {name: sa, key: id}}}, {name: fs.s3.accessKeySecret, valueFrom: {secretKeyRef: {name: sa, key: key}}}]
  - name: b
    mountPoint: s3://b/
    options: {fs.s3.accessKeyId: ID-b, fs.s3.accessKeySecret: KEY-b}
---
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: d, namespace: ns}
spec: {replicas: 2, master: {replicas: 3}, tieredstore: {levels: [{mediumtype: SSD, path: /mnt/disk1, quota: 10Gi}]}}
`

// declare returns the declaration of a pair by a controller with an image.
func declare(t *testing.T, manifests, image string) Declared {
	t.Helper()
	objects, err := v1alpha1.Decode([]byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	d := Declared{
		Images: v1alpha1.RuntimeImages{Jindo: image, Fuse: image}, Renderer: image,
		Secret: "d-credentials", SecretKey: func(mount, option string) string { return mount + "_" + option },
	}
	for _, o := range objects {
		v1alpha1.SetDefaults(o)
		switch o := o.(type) {
		case *v1alpha1.Dataset:
			d.Dataset = o
		case *v1alpha1.JindoRuntime:
			d.Runtime = o
		}
	}
	return d
}

// running is the progress of a runtime whose mounts are in use.
func running() Progress {
	return Progress{Started: true, Mounted: true, Worked: func(string) bool { return true }, Users: func(string) (string, error) { return "", nil }}
}

func mustNext(t *testing.T, current *v1alpha1.EffectiveSpec, d Declared, p Progress) (*v1alpha1.EffectiveSpec, string) {
	t.Helper()
	next, kept, err := Next(current, d, p)
	if err != nil {
		t.Fatal(err)
	}
	return next, strings.Join(kept, "; ")
}

// TestEffectiveSpecIsStable: what the API server returns is equal to what was recorded,
// the plan is that of the declared pair, and no credential is recorded.
func TestEffectiveSpecIsStable(t *testing.T) {
	d := declare(t, effectivePair, "v1")
	first, kept := mustNext(t, nil, d, Progress{})
	raw, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "KEY-b") || strings.Contains(string(raw), "ID-b") {
		t.Errorf("a credential is recorded: %s", raw)
	}
	stored := &v1alpha1.EffectiveSpec{}
	if err := json.Unmarshal(raw, stored); err != nil {
		t.Fatal(err)
	}
	next, more := mustNext(t, stored, d, running())
	if next != stored || kept+more != "" || first.Revision != 1 {
		t.Errorf("it changes to %+v; %s %s", next, kept, more)
	}
	declared, err := Build(d.Dataset, d.Runtime)
	if err != nil {
		t.Fatal(err)
	}
	runtime, dataset, err := Restore(stored, d.Runtime)
	if err != nil {
		t.Fatal(err)
	}
	restored, err := Build(dataset, runtime)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(declared.Mounts, restored.Mounts) || !reflect.DeepEqual(declared.Workers, restored.Workers) || restored.Dataset != "d" {
		t.Errorf("restored plan:\n%+v\nwant\n%+v", restored, declared)
	}
	restored.Credentials = d.Unseal(restored, stored)
	if fmt.Sprintf("%q", literals(restored)) != fmt.Sprintf("%q", literals(declared)) || !reflect.DeepEqual(restored.Credentials[0], declared.Credentials[0]) {
		t.Errorf("credentials %q, want %q", literals(restored), literals(declared))
	}
}

// literals returns the credentials in plain text, by mount and option.
func literals(p *Plan) map[string]string {
	all := map[string]string{}
	for _, c := range p.Credentials {
		for option, value := range c.Literal {
			all[c.SecretRef+"/"+option] = string(value)
		}
	}
	return all
}

func TestNewerEffectiveSpecIsRefused(t *testing.T) {
	d := declare(t, effectivePair, "v1")
	first, _ := mustNext(t, nil, d, Progress{})
	first.Version = EffectiveVersion + 1
	if _, _, err := Restore(first, d.Runtime); !errors.Is(err, ErrNewer) {
		t.Errorf("error %v", err)
	}
}

// TestEditsOfTheEffectiveSpec: an edit is part of the next effective spec, or a message
// names it.
func TestEditsOfTheEffectiveSpec(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(d *Declared)
		// kept is a part of the message; empty if the edit is carried out.
		kept string
	}{
		{"replicas", func(d *Declared) { *d.Runtime.Spec.Replicas = 5 }, ""},
		{"resources", func(d *Declared) {
			d.Runtime.Spec.Worker.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("8Gi")}
		}, ""},
		{"image", func(d *Declared) { d.Runtime.Spec.JindoVersion.ImageTag, d.Images.Jindo = "v2", "jindo:v2" }, ""},
		{"masters", func(d *Declared) { *d.Runtime.Spec.Master.Replicas = 1 }, ""},
		{"tiers", func(d *Declared) { d.Runtime.Spec.TieredStore.Levels[0].Path = "/mnt/disk2" }, "spec.tieredstore is unchanged: the masters' volumes, which exist already, are below /mnt/disk1"},
		{"tiers elsewhere", func(d *Declared) { d.Runtime.Spec.TieredStore.Levels[0].VolumeType = v1alpha1.VolumeEmptyDir }, "spec.tieredstore is unchanged"},
		{"quota of a tier", func(d *Declared) { d.Runtime.Spec.TieredStore.Levels[0].Quota = "20Gi" }, ""},
		{"another path of a tier", func(d *Declared) { d.Runtime.Spec.TieredStore.Levels[0].Path = "/mnt/disk1,/mnt/disk2" }, ""},
		{"a faster tier", func(d *Declared) {
			memory := v1alpha1.Level{MediumType: v1alpha1.MediumMEM, Path: "/dev/shm", Quota: "1Gi", High: "0.9", Low: "0.8"}
			d.Runtime.Spec.TieredStore.Levels = append([]v1alpha1.Level{memory}, d.Runtime.Spec.TieredStore.Levels...)
		}, ""},
		{"default network", func(d *Declared) { d.Runtime.Spec.NetworkMode = v1alpha1.ContainerNetworkMode }, ""},
		{"a component less", func(d *Declared) { d.Runtime.Spec.Fuse.Disabled = true }, "spec.fuse.disabled is unchanged: components of an existing runtime cannot be added or removed: delete the JindoRuntime"},
		{"endpoint", func(d *Declared) { d.Dataset.Spec.SharedOptions["fs.s3.endpoint"] = "http://two" }, ""},
		{"a mount less", func(d *Declared) { d.Dataset.Spec.Mounts = d.Dataset.Spec.Mounts[:1] }, ""},
		{"another mount", func(d *Declared) {
			d.Dataset.Spec.Mounts = append(d.Dataset.Spec.Mounts, v1alpha1.Mount{Name: "c", Path: "/c", MountPoint: "s3://c/"})
		}, ""},
		{"another Secret", func(d *Declared) {
			for i := range d.Dataset.Spec.Mounts[0].EncryptOptions {
				d.Dataset.Spec.Mounts[0].EncryptOptions[i].ValueFrom.SecretKeyRef.Name = "new"
			}
		}, ""},
		{"access modes", func(d *Declared) {
			d.Dataset.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}, "spec.accessModes of the Dataset is unchanged"},
		{"tolerations", func(d *Declared) { d.Dataset.Spec.Tolerations = []corev1.Toleration{{Key: "gpu"}} }, ""},
		{"an invalid Dataset", func(d *Declared) { d.Dataset, d.DatasetInvalid = nil, true }, "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, _ := mustNext(t, nil, declare(t, effectivePair, "v1"), Progress{})
			d := declare(t, effectivePair, "v1")
			test.edit(&d)
			next, kept := mustNext(t, before, d, running())
			switch test.kept {
			case "":
				if next.Revision != before.Revision+1 && test.name != "default network" || kept != "" {
					t.Errorf("revision %d; %s", next.Revision, kept)
				}
			case "-":
				if next != before || kept != "" {
					t.Errorf("it changes to %+v; %s", next, kept)
				}
			default:
				if next != before || !strings.Contains(kept, test.kept) {
					t.Errorf("revision %d; %s", next.Revision, kept)
				}
			}
			// Before anything was created, every edit is carried out.
			if _, kept := mustNext(t, before, d, Progress{}); kept != "" {
				t.Errorf("not started: %s", kept)
			}
		})
	}
}

// TestUnbindingWaitsForPods: the mounts remain while pods use the Dataset.
func TestUnbindingWaitsForPods(t *testing.T) {
	before, _ := mustNext(t, nil, declare(t, effectivePair, "v1"), Progress{})
	d := declare(t, effectivePair, "v1")
	d.Dataset = nil
	p := running()
	p.Users = func(dataset string) (string, error) { return "pod reader mounts " + dataset, nil }
	if next, kept := mustNext(t, before, d, p); next != before || !strings.Contains(kept, "pod reader mounts d") {
		t.Errorf("%+v; %s", next.Dataset, kept)
	}
	p.Users = func(string) (string, error) { return "", nil }
	if next, kept := mustNext(t, before, d, p); next.Dataset != nil || kept != "" {
		t.Errorf("%+v; %s", next.Dataset, kept)
	}
	p.Users = func(string) (string, error) { return "", errors.New("unavailable") }
	if _, _, err := Next(before, d, p); err == nil {
		t.Error("the users are not known, and the Dataset is not served any more")
	}
}

// TestUpgradeKeepsPods: a new controller changes no pod, until it is told to or a field
// of pods is edited; then image and templates change together.
func TestUpgradeKeepsPods(t *testing.T) {
	before, _ := mustNext(t, nil, declare(t, effectivePair, "v1"), Progress{})
	for _, test := range []struct {
		name string
		edit func(d *Declared)
		want string // the renderer
	}{
		{"nothing", func(*Declared) {}, "v1"},
		{"replicas", func(d *Declared) { *d.Runtime.Spec.Replicas = 5 }, "v1"},
		{"credentials", func(d *Declared) { d.Runtime.Spec.Secret = "other" }, "v1"},
		{"a field of pods", func(d *Declared) { d.Runtime.Spec.Worker.Env = map[string]string{"A": "b"} }, "v2"},
		{"an image", func(d *Declared) { d.Runtime.Spec.Fuse.ImageTag = "v2" }, "v2"},
		{"automatic updates", func(d *Declared) { d.Updates = v1alpha1.UpdatesAutomatic }, "v2"},
	} {
		d := declare(t, effectivePair, "v2")
		test.edit(&d)
		next, _ := mustNext(t, before, d, running())
		if next.Renderer != test.want || next.Images.Jindo != test.want || next.Images.Fuse != test.want {
			t.Errorf("%s: %+v, renderer %s, want %s", test.name, next.Images, next.Renderer, test.want)
		}
	}
}
