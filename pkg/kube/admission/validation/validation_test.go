package validation

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/ctrlreader"
)

func reader(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "vision", Name: name} }

func secret(name string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: meta(name), Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func jindo(name, claims string, change ...func(*v1alpha1.JindoRuntime)) *v1alpha1.JindoRuntime {
	r := &v1alpha1.JindoRuntime{ObjectMeta: meta(name)}
	r.Spec.Master.Replicas = new(int32(3))
	r.Spec.Replicas = new(int32(3))
	if claims != "" {
		r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: claims}
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func dataset(name string, change ...func(*v1alpha1.Dataset)) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: meta(name)}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://bucket/", Name: "a", Options: map[string]string{"fs.oss.endpoint": "oss.example.com"}}}
	for _, c := range change {
		c(d)
	}
	return d
}

func encrypted(secret, key string) func(*v1alpha1.Dataset) {
	return func(d *v1alpha1.Dataset) {
		d.Spec.Mounts[0].EncryptOptions = []v1alpha1.EncryptOption{option(secret, key)}
	}
}

func option(secret, key string) v1alpha1.EncryptOption {
	o := v1alpha1.EncryptOption{Name: "fs.oss.region"}
	o.ValueFrom.SecretKeyRef = v1alpha1.SecretKeySelector{Name: secret, Key: key}
	return o
}

func formed(r *v1alpha1.JindoRuntime) {
	r.Status.Formation = &v1alpha1.Formation{ClusterID: "c", Formed: true}
}

func https(d *v1alpha1.Dataset) {
	d.Spec.Mounts[0] = v1alpha1.Mount{MountPoint: "https://example.com/", Name: "a"}
}
func withoutName(d *v1alpha1.Dataset) { d.Spec.Mounts[0].Name = "" }
func relative(d *v1alpha1.Dataset)    { d.Spec.Mounts[0].Path = "x" }
func writable(d *v1alpha1.Dataset) {
	d.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
}
func bound(d *v1alpha1.Dataset) { d.Status.Phase = v1alpha1.BoundDatasetPhase }

func TestCheck(t *testing.T) {
	existing := []client.Object{
		secret("keys", map[string]string{"id": "x", "empty": " \n"}),
		secret("sts", map[string]string{"AccessKeyId": "x", "AccessKeySecret": "y"}),
		jindo("hadoop", ""),
		jindo("two-a", "two"), jindo("two-b", "two"), jindo("d", ""),
		dataset("imagenet"), dataset("hbase", https), dataset("writable", writable),
	}
	deleted := jindo("going", "gone")
	deleted.DeletionTimestamp, deleted.Finalizers = &metav1.Time{Time: time.Now()}, []string{"f"}
	existing = append(existing, deleted)
	load := func(name string) *v1alpha1.DataLoad {
		l := &v1alpha1.DataLoad{ObjectMeta: meta("l")}
		l.Spec.Dataset.Name = name
		return l
	}
	withSecret := func(name string) func(*v1alpha1.JindoRuntime) {
		return func(r *v1alpha1.JindoRuntime) { r.Spec.Secret = name }
	}
	for _, test := range []struct {
		name        string
		old, object client.Object
		refuses     string // part of the error, "" for none
		warns       string // part of the warnings, "" for none
	}{
		{"nothing special", nil, dataset("d"), "", ""},
		{"all keys", nil, dataset("d", encrypted("keys", "id")), "", ""},
		{"no such Secret", nil, dataset("d", encrypted("later", "id")), "", "Secret later not found in namespace vision: create it"},
		{"no such key", nil, dataset("d", encrypted("keys", "secret")), "spec.mounts[0].encryptOptions[0].valueFrom.secretKeyRef: Invalid value: \"secret\": Secret keys in namespace vision has no key secret", ""},
		{"an empty key", nil, dataset("d", encrypted("keys", "empty")), "is empty: set its value", ""},
		{"no such key for all mounts", nil, dataset("d", func(d *v1alpha1.Dataset) { d.Spec.SharedEncryptOptions = []v1alpha1.EncryptOption{option("keys", "k")} }), "spec.sharedEncryptOptions[0]", ""},
		{"the key was wrong before", dataset("d", encrypted("keys", "secret")), dataset("d", encrypted("keys", "secret")), "", "has no key secret"},
		{"the key is wrong now", dataset("d", encrypted("keys", "id")), dataset("d", encrypted("keys", "secret")), "has no key secret", ""},
		{"no name of a Secret", nil, dataset("d", encrypted("", "")), "spec.mounts[0].encryptOptions[0].valueFrom.secretKeyRef.name: Required value", ""},
		{"size of the claim", nil, dataset("d", func(d *v1alpha1.Dataset) { d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "big"} }), "write it like 100Gi", ""},
		{"claimed twice already", nil, dataset("two"), "", "JindoRuntimes two-a and two-b claim this Dataset, and only two-a"},

		{"a runtime of its own", nil, jindo("spark", ""), "", ""},
		{"a second one", nil, jindo("spark", "hadoop"), "metadata.annotations[data.fluid.io/dataset]: Invalid value: \"hadoop\": JindoRuntime hadoop claims this Dataset already", ""},
		{"a second one by its name", nil, jindo("two", ""), "metadata.name: ", ""},
		{"of one that is being deleted", nil, jindo("spark", "gone"), "", ""},
		{"applied again", jindo("hadoop", ""), jindo("hadoop", ""), "", ""},
		{"moved to another's", jindo("spark", ""), jindo("spark", "hadoop"), "claims this Dataset already", ""},
		{"second for long", jindo("two-b", "two"), jindo("two-b", "two"), "", "the older of the two serves it"},
		{"its Secret", nil, jindo("spark", "", withSecret("sts")), "", ""},
		{"its Secret lacks a key", nil, jindo("spark", "", withSecret("keys")), "has no key AccessKeyId", ""},
		{"its Secret is to come", nil, jindo("spark", "", withSecret("later")), "", "Secret later not found"},

		{"fewer masters of a formed one", jindo("spark", "", formed), jindo("spark", "", func(r *v1alpha1.JindoRuntime) { *r.Spec.Master.Replicas = 1 }), "", ""},
		{"quota of a formed one", jindo("spark", "", formed), jindo("spark", "", func(r *v1alpha1.JindoRuntime) {
			r.Spec.TieredStore.Levels = []v1alpha1.Level{{MediumType: "MEM", Quota: "9Gi"}}
		}), "", ""},
		{"image of a formed one", jindo("spark", "", formed), jindo("spark", "", func(r *v1alpha1.JindoRuntime) { r.Spec.Fuse.ImageTag = "v2" }), "", ""},
		{"fewer workers", jindo("spark", "", formed), jindo("spark", "", func(r *v1alpha1.JindoRuntime) { *r.Spec.Replicas = 2 }), "", "scaling from 3 to 2 workers"},
		{"more workers", jindo("spark", "", formed), jindo("spark", "", func(r *v1alpha1.JindoRuntime) { *r.Spec.Replicas = 4 }), "", ""},
		{"masters of one that is not formed", jindo("spark", ""), jindo("spark", "", func(r *v1alpha1.JindoRuntime) { *r.Spec.Master.Replicas = 1 }), "", ""},
		{"mounts of one that is served", dataset("d", bound), dataset("d", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].MountPoint = "oss://other/" }), "", "spec.mounts[0].mountPoint: the mount at /a remains oss://bucket/ until no pod mounts"},
		{"endpoint of one that is served", dataset("d", bound), dataset("d", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].Options["fs.oss.endpoint"] = "other.example.com" }), "", ""},
		{"a mount less", dataset("d", bound), dataset("d", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].Path = "/b" }), "", "spec.mounts: mount a at /a is removed when no pod mounts"},
		{"mounts of one that is not", dataset("d"), dataset("d", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].MountPoint = "oss://other/" }), "", ""},
		{"a default written out", dataset("d", bound), dataset("d", func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].Path = "/a" }), "", ""},

		{"of another runtime", nil, dataset("other", https), "", "a JindoRuntime could not serve this Dataset: spec.mounts[0].mountPoint: Invalid value: \"https://example.com/\": unsupported scheme"},
		{"of another runtime, changed", dataset("other", https), dataset("other", https, withoutName), "", "a JindoRuntime could not serve this Dataset"},
		{"unclaimed, without a key", nil, dataset("other", encrypted("keys", "secret")), "", "a JindoRuntime could not serve this Dataset: spec.mounts[0].encryptOptions[0].valueFrom.secretKeyRef: Invalid value"},
		{"unclaimed and valid", nil, dataset("other"), "", ""},
		{"claimed, https", nil, dataset("d", https), "unsupported scheme \"https\"", ""},
		{"claimed by a runtime that is being deleted", nil, dataset("gone", https), "", "a JindoRuntime could not serve this Dataset"},
		{"invalid when it was claimed", dataset("d", https), dataset("d", https, withoutName), "", "unsupported scheme \"https\""},
		{"another error when it was claimed", dataset("d", https), dataset("d", https, relative), "spec.mounts[0].path: Invalid value", "unsupported scheme \"https\""},
		{"a runtime of an invalid Dataset", nil, jindo("hbase", ""), "", "Dataset hbase cannot be served: spec.mounts[0].mountPoint: Invalid value"},
		{"applied again to an invalid Dataset", jindo("hbase", ""), jindo("hbase", ""), "", ""},
		{"a runtime of a Dataset with warnings", nil, jindo("spark", "writable"), "", "Dataset writable: spec.accessModes: writing is not supported yet"},

		{"a load", nil, load("imagenet"), "", ""},
		{"a load of nothing", nil, load("d"), "", "Dataset d not found in namespace vision"},
	} {
		t.Run(test.name, func(t *testing.T) {
			warnings, err := CheckChangeWithSecrets(t.Context(), ctrlreader.New(reader(t, existing...)), test.old, test.object)
			if (err == nil) != (test.refuses == "") || err != nil && !strings.Contains(err.Error(), test.refuses) {
				t.Errorf("error %v, want %q", err, test.refuses)
			}
			all := strings.Join(warnings, "\n")
			if (all == "") != (test.warns == "") || !strings.Contains(all, test.warns) {
				t.Errorf("warnings %q, want %q", all, test.warns)
			}
		})
	}
}

// Objects that cannot be read result in warnings only, and an API server that does
// not respond does not block the validation.
func TestUnreadableObjects(t *testing.T) {
	broken := interceptor.NewClient(reader(t), interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			<-ctx.Done()
			return ctx.Err()
		},
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("no")
		},
	})
	d := dataset("d", encrypted("keys", "id"))
	d.Spec.SharedEncryptOptions = []v1alpha1.EncryptOption{option("others", "id")}
	warnings, err := CheckChangeWithSecrets(t.Context(), ctrlreader.New(broken), nil, d)
	if err != nil || !strings.Contains(strings.Join(warnings, "\n"), "could not read Secret keys in namespace vision") {
		t.Errorf("error %v, warnings %q", err, warnings)
	}
	if warnings, err := CheckChangeWithSecrets(t.Context(), ctrlreader.New(broken), nil, jindo("spark", "")); err != nil || len(warnings) != 1 {
		t.Errorf("error %v, warnings %q", err, warnings)
	}
}

// No finding contains the value of a Secret.
func TestNoSecretIsDisclosed(t *testing.T) {
	s := secret("keys", map[string]string{"id": "hunter2"})
	warnings, err := CheckChangeWithSecrets(t.Context(), ctrlreader.New(reader(t, s, jindo("d", ""))), nil, dataset("d", encrypted("keys", "other")))
	if err == nil || strings.Contains(err.Error()+strings.Join(warnings, ""), "hunter2") {
		t.Errorf("error %v, warnings %q", err, warnings)
	}
	warnings, err = CheckChangeWithSecrets(t.Context(), ctrlreader.New(reader(t, s)), nil, dataset("unclaimed", encrypted("keys", "other")))
	if err != nil || len(warnings) == 0 || strings.Contains(strings.Join(warnings, ""), "hunter2") {
		t.Errorf("error %v, warnings %q", err, warnings)
	}
}

// Without the right to read Secrets nothing about them is found, and none is read.
func TestSecretsAreNotRead(t *testing.T) {
	forbidden := interceptor.NewClient(reader(t, jindo("d", "")), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
			if _, is := into.(*corev1.Secret); is {
				t.Errorf("Secret %s is read", key)
			}
			return c.Get(ctx, key, into, options...)
		},
	})
	withSecret := jindo("spark", "", func(r *v1alpha1.JindoRuntime) { r.Spec.Secret = "keys" })
	for _, object := range []client.Object{dataset("d", encrypted("keys", "other")), dataset("unclaimed", encrypted("keys", "other")), withSecret} {
		if warnings, err := CheckChange(t.Context(), ctrlreader.New(forbidden), nil, object); err != nil || len(warnings) > 0 {
			t.Errorf("%s: error %v, warnings %q", object.GetName(), err, warnings)
		}
	}
}
