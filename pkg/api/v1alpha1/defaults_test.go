package v1alpha1

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
)

func TestDatasetDefaults(t *testing.T) {
	tests := []struct {
		name  string
		mount []Mount
		want  string // "name path" of each
	}{
		{"named", []Mount{{Name: "hadoop", MountPoint: "oss://b/"}}, "hadoop /hadoop"},
		{"named with a path", []Mount{{Name: "hadoop", Path: "/x", MountPoint: "oss://b/"}}, "hadoop /x"},
		{"an only one without either", []Mount{{MountPoint: "oss://b/dir/"}}, "b /"},
		{"an only one with a path", []Mount{{Path: "/x", MountPoint: "oss://b/dir/"}}, "b /x"},
		{"several without names", []Mount{{MountPoint: "oss://b/1"}, {MountPoint: "oss://b/2"}, {MountPoint: "s3://c"}}, "b /b, b-2 /b-2, c /c"},
		{"a made name that is taken", []Mount{{MountPoint: "oss://b/"}, {Name: "b", MountPoint: "oss://x/"}, {Name: "b-2", MountPoint: "oss://y/"}}, "b-3 /b-3, b /b, b-2 /b-2"},
		{"directories", []Mount{{MountPoint: "local:///srv/data set/"}, {MountPoint: "file:///"}}, "data-set /data-set, mount /mount"},
		{"a placeholder", []Mount{{MountPoint: "oss://<BUCKET>/x", Path: "/x"}}, "BUCKET /x"},
		{"a name that is not a directory name", []Mount{{Name: "..", MountPoint: "oss://b/"}}, ".. "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := &Dataset{Spec: DatasetSpec{Mounts: test.mount}}
			SetDefaults(d)
			var got []string
			for _, m := range d.Spec.Mounts {
				got = append(got, m.Name+" "+m.Path)
			}
			if joined := strings.Join(got, ", "); joined != test.want {
				t.Errorf("got %q, want %q", joined, test.want)
			}
			if len(d.Spec.AccessModes) != 1 || d.Spec.AccessModes[0] != corev1.ReadOnlyMany {
				t.Errorf("accessModes are %v", d.Spec.AccessModes)
			}
		})
	}
}

func TestRuntimeDefaults(t *testing.T) {
	r := &JindoRuntime{}
	SetDefaults(r)
	want := Level{MediumType: "MEM", VolumeType: "hostPath", Path: "/dev/shm", Quota: "1Gi", High: "0.8", Low: "0.6"}
	if len(r.Spec.TieredStore.Levels) != 1 || r.Spec.TieredStore.Levels[0] != want {
		t.Errorf("levels are %+v", r.Spec.TieredStore.Levels)
	}
	if *r.Spec.Replicas != 1 || *r.Spec.Master.Replicas != 1 || r.Spec.Fuse.CleanPolicy != OnRuntimeDeletedCleanPolicy {
		t.Errorf("got %+v", r.Spec)
	}

	r = &JindoRuntime{Spec: JindoRuntimeSpec{
		Replicas:    new(int32(0)),
		Master:      JindoCompTemplateSpec{Replicas: new(int32(0))},
		TieredStore: TieredStore{Levels: []Level{{MediumType: MediumSSD, Path: "/a", Quota: "1Gi"}}},
	}}
	SetDefaults(r)
	if *r.Spec.Replicas != 0 || *r.Spec.Master.Replicas != 0 {
		t.Error("a 0 that was written became another number")
	}
	if l := r.Spec.TieredStore.Levels[0]; l.High != DefaultHigh || l.Low != DefaultLow || l.VolumeType != VolumeHostPath {
		t.Errorf("the level is %+v", l)
	}
}

func TestDataLoadDefaults(t *testing.T) {
	l := &DataLoad{}
	SetDefaults(l)
	if l.Spec.Policy != OncePolicy || len(l.Spec.Target) != 1 || l.Spec.Target[0].Path != "/" || *l.Spec.Target[0].Replicas != 1 {
		t.Errorf("got %+v", l.Spec)
	}
}

// Defaulting gives each mount a unique name, and changes no name that was set.
func TestGeneratedNamesAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mounts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Mount {
			return Mount{
				Name:       rapid.SampledFrom([]string{"", "", "b", "b-2", "b-3", "mount"}).Draw(t, "name"),
				MountPoint: rapid.SampledFrom([]string{"oss://b/", "oss://b/x", "s3://b-2", "oss://---/", "local:///", "", "oss://" + strings.Repeat("b", 80)}).Draw(t, "mountPoint"),
			}
		}), 0, 12).Draw(t, "mounts")
		d := &Dataset{Spec: DatasetSpec{Mounts: append([]Mount{}, mounts...)}}
		SetDefaults(d)
		made := map[string]bool{}
		for i, m := range d.Spec.Mounts {
			if given := mounts[i].Name; given != "" {
				if m.Name != given {
					t.Fatalf("the name %q became %q", given, m.Name)
				}
				continue
			}
			if made[m.Name] || !mountName(m.Name) {
				t.Fatalf("the generated name %q is a duplicate or not allowed", m.Name)
			}
			made[m.Name] = true
			for _, other := range mounts {
				if other.Name == m.Name {
					t.Fatalf("the generated name %q is that of another mount", m.Name)
				}
			}
		}
	})
}

func TestScheme(t *testing.T) {
	s := runtime.NewScheme()
	if err := AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{DatasetKind, JindoRuntimeKind, DataLoadKind, DatasetKind + "List", JindoRuntimeKind + "List", DataLoadKind + "List"} {
		object, err := s.New(GroupVersion().WithKind(kind))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if object.DeepCopyObject() == object {
			t.Errorf("a copy of %s is the object itself", kind)
		}
	}
}

func TestOptionKinds(t *testing.T) {
	for _, name := range []string{"fs.oss.accessKeyId", "fs.s3.accessKeySecret", "fs.oss.securityToken", "PASSWORD", "fs.azure.account.key.x", "my.secret"} {
		if !SecretOption(name) {
			t.Errorf("%s is not kept secret", name)
		}
	}
	for _, name := range []string{"fs.oss.endpoint", "fs.s3.region", "metaPolicy", "fs.oss.region"} {
		if SecretOption(name) {
			t.Errorf("%s is kept secret", name)
		}
	}
	if !ForeignOption("fs.oss.endpoint", "s3") || ForeignOption("fs.oss.endpoint", "oss") || ForeignOption("fs.other.x", "s3") || ForeignOption("ossy", "s3") {
		t.Error("ForeignOption returns the wrong result for an option")
	}
}

func TestEffectiveOptions(t *testing.T) {
	ref := func(secret string) EncryptOptionSource {
		return EncryptOptionSource{SecretKeyRef: SecretKeySelector{Name: secret, Key: "k"}}
	}
	spec := &DatasetSpec{
		SharedOptions:        map[string]string{"a": "shared", "b": "shared", "c": "shared"},
		SharedEncryptOptions: []EncryptOption{{Name: "d", ValueFrom: ref("shared")}, {Name: "e", ValueFrom: ref("shared")}},
	}
	got := spec.EffectiveOptions(Mount{
		Options:        map[string]string{"b": "own", "d": "own"},
		EncryptOptions: []EncryptOption{{Name: "c", ValueFrom: ref("own")}},
	})
	text := func(name, want string) {
		if v := got[name]; v.Text != want || v.Secret != nil {
			t.Errorf("%s is %+v, want the text %q", name, v, want)
		}
	}
	secret := func(name, want string) {
		if v := got[name]; v.Secret == nil || v.Secret.Name != want || v.Text != "" {
			t.Errorf("%s is %+v, want the Secret %q", name, v, want)
		}
	}
	text("a", "shared")
	text("b", "own")
	secret("c", "own")
	text("d", "own")
	secret("e", "shared")
	got["c"].Secret.Name = "changed"
	if again := spec.EffectiveOptions(Mount{}); again["e"].Secret.Name != "shared" || len(got) != 5 {
		t.Errorf("the result is not a copy: %+v", again)
	}
}

func TestReadOnly(t *testing.T) {
	for _, test := range []struct {
		modes []corev1.PersistentVolumeAccessMode
		want  bool
	}{
		{nil, true},
		{[]corev1.PersistentVolumeAccessMode{"ReadOnlyMany"}, true},
		{[]corev1.PersistentVolumeAccessMode{"ReadWriteMany"}, false},
		{[]corev1.PersistentVolumeAccessMode{"ReadWriteMany", "ReadOnlyMany"}, true},
		{[]corev1.PersistentVolumeAccessMode{"ReadWriteOnce", "ReadWriteOncePod"}, false},
	} {
		if got := (&DatasetSpec{AccessModes: test.modes}).ReadOnly(); got != test.want {
			t.Errorf("%v is read-only: %v", test.modes, got)
		}
	}
}

// Status fields that Fluid's schema requires are encoded even if they are empty.
func TestRequiredStatusFields(t *testing.T) {
	for _, test := range []struct {
		object any
		fields []string
	}{
		{DatasetStatus{Conditions: []DatasetCondition{}}, []string{"conditions"}},
		{OperationStatus{Conditions: []Condition{}}, []string{"conditions", "duration", "phase"}},
		{RuntimeStatus{}, []string{
			"valueFile", "masterPhase", "workerPhase", "fusePhase",
			"desiredMasterNumberScheduled", "currentMasterNumberScheduled", "masterNumberReady",
			"desiredWorkerNumberScheduled", "currentWorkerNumberScheduled", "workerNumberReady",
			"desiredFuseNumberScheduled", "currentFuseNumberScheduled", "fuseNumberReady",
		}},
	} {
		raw, err := json.Marshal(test.object)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range test.fields {
			if value, ok := fields[name]; !ok || value == nil {
				t.Errorf("%T is written without %s", test.object, name)
			}
		}
	}
}

// Every scheme is either supported or has a message that says what to do.
func TestSchemes(t *testing.T) {
	for _, scheme := range Schemes() {
		if SchemeSupported(scheme) != (MountUnsupported(scheme) == "") {
			t.Errorf("%s: supported %v, but %q", scheme, SchemeSupported(scheme), MountUnsupported(scheme))
		}
	}
	for mountPoint, want := range map[string]string{"oss://b": "oss", "OSS://b": "oss", "b": "", "": "", "a:b://c": "a:b"} {
		if got := Scheme(mountPoint); got != want {
			t.Errorf("the scheme of %q is %q, want %q", mountPoint, got, want)
		}
	}
}
