package admission

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: injecttest.Namespace, Name: name}
}

func jindoRuntime(name string, masters int32) *v1alpha1.JindoRuntime {
	r := &v1alpha1.JindoRuntime{ObjectMeta: named(name)}
	r.Spec.Master.Replicas = &masters
	return r
}

func dataset(name string, options map[string]string) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: named(name)}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://bucket/", Name: "a", Options: map[string]string{"fs.oss.endpoint": "oss.example.com"}}}
	maps.Copy(d.Spec.Mounts[0].Options, options)
	return d
}

// Only 1 or 3 masters are accepted, at creation and at update.
func TestReplicas(t *testing.T) {
	s := newTestbed(t)
	for replicas, allowed := range map[int32]bool{-1: false, 0: false, 1: true, 2: false, 3: true, 4: false, 5: false} {
		for _, before := range []*v1alpha1.JindoRuntime{nil, jindoRuntime("hadoop", 3)} {
			var response *admissionv1.AdmissionResponse
			if before == nil {
				response = s.write(v1alpha1.JindoRuntimeKind, nil, jindoRuntime("hadoop", replicas))
			} else {
				response = s.write(v1alpha1.JindoRuntimeKind, before, jindoRuntime("hadoop", replicas))
			}
			if response.Allowed != allowed {
				t.Errorf("%d masters: allowed %v: %+v", replicas, response.Allowed, response.Result)
			}
			if allowed {
				continue
			}
			r := response.Result
			if r.Reason != metav1.StatusReasonInvalid || r.Code != http.StatusUnprocessableEntity || r.Details.Causes[0].Field != "spec.master.replicas" ||
				!strings.Contains(r.Message, "write 3") {
				t.Errorf("%d masters are refused with %+v", replicas, r)
			}
		}
	}
	if s.counted(s.metrics.validations, v1alpha1.JindoRuntimeKind, "refused", "Field") != 10 {
		t.Error("refusals are not counted")
	}
}

// An object that is invalid already can be changed elsewhere.
func TestUnchangedErrorsAreWarnings(t *testing.T) {
	s := newTestbed(t)
	edited := jindoRuntime("hadoop", 2)
	edited.Spec.Replicas = new(int32(5))
	response := s.write(v1alpha1.JindoRuntimeKind, jindoRuntime("hadoop", 2), edited)
	if !response.Allowed || !strings.Contains(strings.Join(response.Warnings, "\n"), "spec.master.replicas") {
		t.Errorf("allowed %v, warnings %q: %+v", response.Allowed, response.Warnings, response.Result)
	}
	if response := s.write(v1alpha1.JindoRuntimeKind, jindoRuntime("hadoop", 2), jindoRuntime("hadoop", 4)); response.Allowed {
		t.Error("another invalid value is allowed")
	}
}

// The cache keeps of claims what edits are compared with.
func TestCachedClaims(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: named("hadoop")}
	claim.Labels, claim.Annotations = map[string]string{names.LabelManagedBy: names.ManagedBy}, map[string]string{"large": "x"}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100Gi")}
	cached, err := ownerAndRequests(claim)
	if err != nil {
		t.Fatal(err)
	}
	kept := cached.(*corev1.PersistentVolumeClaim)
	if len(kept.Annotations) > 0 || kept.Labels[names.LabelManagedBy] == "" {
		t.Errorf("metadata %+v", kept.ObjectMeta)
	}
	s := newTestbed(t, jindoRuntime("hadoop", 1), kept)
	edited := dataset("hadoop", nil)
	edited.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "7Ti"}
	response := s.write(v1alpha1.DatasetKind, dataset("hadoop", nil), edited)
	if response.Allowed || !strings.Contains(response.Result.Message, "exists already with 100Gi") || response.Result.Reason != metav1.StatusReasonInvalid {
		t.Errorf("%+v", response)
	}
	if response := s.write(v1alpha1.DatasetKind, dataset("hadoop", nil), dataset("hadoop", nil)); !response.Allowed {
		t.Errorf("%+v", response.Result)
	}
}

// Warnings name the field to use instead.
func TestWarnings(t *testing.T) {
	s := newTestbed(t)
	labelled := jindoRuntime("hadoop", 1)
	labelled.Spec.Master.Labels = map[string]string{"a": "b"}
	labelled.Spec.User = "hadoop"
	load := &v1alpha1.DataLoad{ObjectMeta: named("l")}
	load.Spec.Dataset.Name = "imagenet"
	for _, test := range []struct {
		name     string
		response *admissionv1.AdmissionResponse
		want     []string
	}{
		{
			"deprecated and without effect", s.write(v1alpha1.JindoRuntimeKind, nil, labelled),
			[]string{"write podMetadata.labels", "spec.user: has no effect"},
		},
		{
			"credentials in clear", s.write(v1alpha1.DatasetKind, nil, dataset("d", map[string]string{"fs.oss.accessKeyId": "me", "fs.oss.accessKeySecret": "hunter2"})),
			[]string{"name that under encryptOptions"},
		},
		{
			"nothing to load, and not built yet", s.write(v1alpha1.DataLoadKind, nil, load),
			[]string{"Dataset imagenet not found", "preloading is not supported yet"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Join(test.response.Warnings, "\n")
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q lacks %q", text, want)
				}
			}
			if !test.response.Allowed || strings.Contains(text, "hunter2") {
				t.Errorf("response %+v", test.response)
			}
		})
	}
}

// Errors that involve other objects reject the request too.
func TestOtherObjects(t *testing.T) {
	s := newTestbed(t, jindoRuntime("hadoop", 1), jindoRuntime("imagenet", 1))
	second := jindoRuntime("spark", 1)
	second.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hadoop"}
	response := s.write(v1alpha1.JindoRuntimeKind, nil, second)
	if response.Allowed || !strings.Contains(response.Result.Message, "JindoRuntime hadoop claims this Dataset already") {
		t.Errorf("claimed twice: %+v", response)
	}
	if got := s.counted(s.metrics.validations, v1alpha1.JindoRuntimeKind, "refused", "OtherObject"); got != 1 {
		t.Errorf("%v are counted", got)
	}
}

// A Dataset that no JindoRuntime claims is accepted with warnings, since it may
// belong to another runtime. One that a JindoRuntime claims is rejected.
func TestOtherRuntimes(t *testing.T) {
	s := newTestbed(t, jindoRuntime("imagenet", 1))
	d := dataset("imagenet", map[string]string{"fs.oss.accessKeyId": "half a pair"})
	if s.write(v1alpha1.DatasetKind, nil, d).Allowed {
		t.Fatal("half a pair of keys is allowed")
	}
	for _, mountPoint := range []string{"https://mirrors.example.com/hbase/", "pvc://testPVC", "oss://bucket/"} {
		other := dataset("hbase", nil)
		other.Spec.Mounts[0] = v1alpha1.Mount{MountPoint: mountPoint, Name: "hbase"}
		response := s.write(v1alpha1.DatasetKind, nil, other)
		if !response.Allowed || len(response.Warnings) != 1 || !strings.HasPrefix(response.Warnings[0], "a JindoRuntime could not serve this Dataset: spec.mounts[0]") {
			t.Errorf("%s, unclaimed: %+v", mountPoint, response)
		}
		if response := s.write(v1alpha1.DatasetKind, other, other); !response.Allowed {
			t.Errorf("%s, unclaimed and updated: %+v", mountPoint, response)
		}
		other.Name = "imagenet"
		if response := s.write(v1alpha1.DatasetKind, nil, other); response.Allowed || !strings.Contains(response.Result.Message, "spec.mounts[0]") {
			t.Errorf("%s, claimed: %+v", mountPoint, response)
		}
	}
	served := d.DeepCopy()
	served.Status.Runtimes = []v1alpha1.Runtime{{Name: "a", Type: "alluxio"}}
	if response := s.write(v1alpha1.DatasetKind, served, served); !response.Allowed || len(response.Warnings) > 0 {
		t.Errorf("the object is rejected: %+v", response)
	}
}

func TestMisdirected(t *testing.T) {
	s := newTestbed(t)
	for _, kind := range []string{"AlluxioRuntime", "", strings.Repeat("x", 1000)} {
		response := s.write(kind, nil, dataset("a", nil))
		if response.Allowed || !strings.Contains(response.Result.Message, "correct the webhook configuration") {
			t.Errorf("%.20q: %+v", kind, response)
		}
	}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "kind" && !slices.Contains([]string{"other"}, label.GetValue()) {
					t.Errorf("metric %s has a label with text of the request", family.GetName())
				}
			}
		}
	}
}

// Tiers and volumes that are directories of nodes must be allowed by the installation.
func TestHostPaths(t *testing.T) {
	s := newTestbed(t)
	tier := func(path string, volume v1alpha1.VolumeType) *v1alpha1.JindoRuntime {
		r := jindoRuntime("hadoop", 1)
		r.Spec.TieredStore.Levels = []v1alpha1.Level{{MediumType: v1alpha1.MediumSSD, VolumeType: volume, Path: path, Quota: "2Gi"}}
		return r
	}
	const tenant = "/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~empty-dir/v"
	for _, test := range []struct {
		name        string
		old, object *v1alpha1.JindoRuntime
		want        string // part of the error or, after "?", of a warning
	}{
		{"allowed", nil, tier("/mnt/disk1", ""), ""},
		{"allowed, with a slash", nil, tier("/mnt/disk1/,/mnt/disk2", ""), ""},
		{"not allowed", nil, tier("/srv", ""), "add it to JINDO_HOST_PATHS"},
		{"below an allowed one", nil, tier("/mnt/disk1/a", ""), "the allowed directories of nodes (/mnt/disk1, /mnt/disk2, /mnt/disk3)"},
		{"one of two", nil, tier("/mnt/disk1,/srv", ""), `Invalid value: "/srv"`},
		{"the kubelet's", nil, tier(tenant, ""), "no setting can allow"},
		{"emptyDir", nil, tier("/srv", v1alpha1.VolumeEmptyDir), ""},
		{"a change", tier("/mnt/disk1", ""), tier("/srv", ""), "add it to JINDO_HOST_PATHS"},
		{"as before", tier("/srv", ""), tier("/srv", ""), "?not one of the allowed directories"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var response *admissionv1.AdmissionResponse
			if test.old == nil {
				response = s.write(v1alpha1.JindoRuntimeKind, nil, test.object)
			} else {
				response = s.write(v1alpha1.JindoRuntimeKind, test.old, test.object)
			}
			warning, isWarning := strings.CutPrefix(test.want, "?")
			switch {
			case response.Allowed != (test.want == "" || isWarning):
				t.Errorf("allowed %v: %+v", response.Allowed, response.Result)
			case isWarning && !strings.Contains(strings.Join(response.Warnings, "\n"), warning):
				t.Errorf("warnings %q", response.Warnings)
			case !response.Allowed && (!strings.Contains(response.Result.Message, test.want) || !strings.HasPrefix(response.Result.Details.Causes[0].Field, "spec.tieredstore.levels[0].path")):
				t.Errorf("refused with %+v", response.Result)
			}
		})
	}
	volume := jindoRuntime("hadoop", 1)
	volume.Spec.Volumes = []corev1.Volume{{Name: "nas", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/mnt/disk1"}}}}
	if response := s.write(v1alpha1.JindoRuntimeKind, nil, volume); response.Allowed || !strings.Contains(response.Result.Message, "persistentVolumeClaim") {
		t.Errorf("a volume: %+v", response.Result)
	}
}

// A mount of a directory of no declared volume is accepted with a warning, because
// either object may still be changed.
func TestUndeclaredDirectories(t *testing.T) {
	nas := dataset("hadoop", nil)
	nas.Spec.Mounts[0] = v1alpha1.Mount{MountPoint: "local:///mnt/nas", Name: "nas"}
	undeclared, declared := jindoRuntime("hadoop", 1), jindoRuntime("hadoop", 1)
	declared.Spec.Volumes = []corev1.Volume{{Name: "nas", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}}}
	declared.Spec.Worker.VolumeMounts = []corev1.VolumeMount{{Name: "nas", MountPath: "/mnt/nas"}}
	for _, test := range []struct {
		runtime *v1alpha1.JindoRuntime
		warned  bool
	}{{undeclared, true}, {declared, false}} {
		for kind, response := range map[string]*admissionv1.AdmissionResponse{
			v1alpha1.DatasetKind:      newTestbed(t, test.runtime.DeepCopy()).write(v1alpha1.DatasetKind, nil, nas),
			v1alpha1.JindoRuntimeKind: newTestbed(t, nas.DeepCopy()).write(v1alpha1.JindoRuntimeKind, nil, test.runtime),
		} {
			warned := strings.Contains(strings.Join(response.Warnings, "\n"), "spec.mounts[0].mountPoint: local:// is served on Kubernetes only")
			if !response.Allowed || warned != test.warned {
				t.Errorf("%s: allowed %v, warnings %q", kind, response.Allowed, response.Warnings)
			}
		}
	}
}
