package validation

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/ctrlreader"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// claimed returns a claim of a Dataset as the controller creates it.
func claimed(name string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: meta(name)}
	claim.Labels = map[string]string{names.LabelManagedBy: names.ManagedBy}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100Gi")}
	return claim
}

func sized(size string) func(*v1alpha1.Dataset) {
	return func(d *v1alpha1.Dataset) { d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: size} }
}

func deleting(o client.Object) {
	o.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	o.SetFinalizers([]string{"f"})
}

// change returns a runtime of Dataset d whose pods exist, with changes.
func change(changes ...func(*v1alpha1.JindoRuntime)) *v1alpha1.JindoRuntime {
	tier := func(r *v1alpha1.JindoRuntime) {
		r.Spec.TieredStore.Levels = []v1alpha1.Level{{MediumType: v1alpha1.MediumSSD, Path: "/mnt/disk1", Quota: "9Gi"}}
		r.Status.Formation = &v1alpha1.Formation{ClusterID: "c", Formed: true}
	}
	return jindo("d", "", append([]func(*v1alpha1.JindoRuntime){tier}, changes...)...)
}

func storageClass(name string) func(*v1alpha1.JindoRuntime) {
	return func(r *v1alpha1.JindoRuntime) { r.Spec.Master.StorageClassName = &name }
}

func tierPath(path string) func(*v1alpha1.JindoRuntime) {
	return func(r *v1alpha1.JindoRuntime) { r.Spec.TieredStore.Levels[0].Path = path }
}

func policy(p v1alpha1.FuseCleanPolicy) func(*v1alpha1.JindoRuntime) {
	return func(r *v1alpha1.JindoRuntime) { r.Spec.Fuse.CleanPolicy = p }
}

func hostNetwork(r *v1alpha1.JindoRuntime) { r.Spec.NetworkMode = v1alpha1.HostNetworkMode }

func withoutPods(r *v1alpha1.JindoRuntime) { r.Status.Formation.Formed = false }

// effectively sets the effective spec to the spec with changes.
func effectively(changes ...func(*v1alpha1.JindoRuntime)) func(*v1alpha1.JindoRuntime) {
	return func(r *v1alpha1.JindoRuntime) {
		inUse := change(changes...)
		v1alpha1.SetDefaults(inUse)
		r.Status.Effective = &v1alpha1.EffectiveSpec{Version: 1, Revision: 1, Runtime: inUse.Spec}
	}
}

// Edits that can never be carried out are refused with the reason and what to do instead.
// What was not changed is not refused, nor is the value in use, nor anything without pods
// or a claim.
func TestEditsThatCannotBeCarriedOut(t *testing.T) {
	load := func(phase v1alpha1.OperationPhase, recursive bool) *v1alpha1.DataLoad {
		l := &v1alpha1.DataLoad{ObjectMeta: meta("l")}
		l.Spec.Dataset.Name, l.Spec.LoadMetadata, l.Status.Phase = "d", recursive, phase
		return l
	}
	differs := func(d *v1alpha1.Dataset) {
		d.Status.Conditions = []v1alpha1.DatasetCondition{{Type: v1alpha1.DatasetChangeNotApplied, Status: corev1.ConditionTrue}}
	}
	foreign := claimed("d")
	foreign.Labels = nil
	existing := []client.Object{claimed("d"), dataset("d"), jindo("d", "")}
	for _, test := range []struct {
		name        string
		existing    []client.Object
		old, object client.Object
		// refuses are parts of the error; without any the edit is accepted.
		refuses []string
	}{
		{"storage class", existing, change(), change(storageClass("fast")), []string{"spec.master.storageClassName: Forbidden: the masters' volumes already exist: delete the JindoRuntime and create it again"}},
		{"another component", existing, change(func(r *v1alpha1.JindoRuntime) { r.Spec.Fuse.Disabled = true }), change(), []string{"spec.fuse.disabled: Forbidden"}},
		{"no workers", existing, change(), change(func(r *v1alpha1.JindoRuntime) { r.Spec.Worker.Disabled, r.Spec.Master.Disabled = true, true }), []string{"spec.worker.disabled: Forbidden", "spec.master.disabled: Forbidden"}},
		{"first tier on nodes", existing, change(), change(tierPath("/mnt/disk2")), []string{"spec.tieredstore: Forbidden", "write /mnt/disk1 as the first path"}},
		{"more paths", existing, change(), change(tierPath("/mnt/disk1,/mnt/disk2")), nil},
		{"clean policy", existing, change(), change(policy(v1alpha1.OnDemandCleanPolicy)), []string{"spec.fuse.cleanPolicy: Forbidden", "delete the Dataset and create it again"}},
		{"default clean policy", existing, change(), change(policy(v1alpha1.OnRuntimeDeletedCleanPolicy)), nil},
		{"clean policy without a claim", existing[1:], change(), change(policy(v1alpha1.OnDemandCleanPolicy)), nil},
		{"clean policy, corrected", []client.Object{claimed("d"), dataset("d", differs)}, change(policy(v1alpha1.OnDemandCleanPolicy)), change(), nil},
		{"host network", existing, change(), change(hostNetwork), []string{"spec.networkmode: Forbidden: the host network is not supported yet: omit the field"}},
		{"host network before", existing, change(hostNetwork), change(hostNetwork, tierPath("/mnt/disk1,/mnt/disk2")), nil},
		{"no host network", existing, change(hostNetwork), change(), nil},
		{"two fields", existing, change(), change(hostNetwork, storageClass("fast")), []string{"spec.networkmode", "spec.master.storageClassName"}},
		{"without pods", existing, change(withoutPods), change(withoutPods, storageClass("fast"), hostNetwork), nil},
		{"without objects", existing, jindo("d", ""), change(withoutPods, storageClass("fast")), nil},
		{"pods of masters that are not formed", existing, change(withoutPods, func(r *v1alpha1.JindoRuntime) { r.Status.CurrentMasterNumberScheduled = 1 }), change(storageClass("fast")), []string{"storageClassName"}},
		{"unchanged and not carried out", existing, change(storageClass("fast"), effectively()), change(storageClass("fast"), func(r *v1alpha1.JindoRuntime) { *r.Spec.Replicas = 4 }), nil},
		{"not carried out, corrected", existing, change(storageClass("fast"), effectively()), change(), nil},
		{"not carried out, still wrong", existing, change(storageClass("fast"), effectively()), change(storageClass("slow")), []string{"storageClassName"}},
		{"a deletion", existing, change(), change(storageClass("fast"), func(r *v1alpha1.JindoRuntime) { deleting(r) }), nil},

		{"access modes", existing, dataset("d"), dataset("d", writable), []string{"spec.accessModes: Forbidden: they are part of the Dataset's PersistentVolumeClaim", "delete the Dataset and create it again"}},
		{"default access modes", existing, dataset("d"), dataset("d", func(d *v1alpha1.Dataset) {
			d.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
		}), nil},
		{"access modes, unchanged", existing, dataset("d", writable), dataset("d", writable, sized("100Gi")), nil},
		{"access modes, corrected", existing, dataset("d", writable), dataset("d"), nil},
		{"growth of the claim", existing, dataset("d"), dataset("d", sized("7Ti")), []string{"metadata.annotations[pvc.fluid.io/resources.requests.storage]: Forbidden", "100Gi", "does not limit the data"}},
		{"a smaller claim", existing, dataset("d"), dataset("d", sized("1Gi")), []string{"metadata.annotations[pvc.fluid.io/resources.requests.storage]: Forbidden"}},
		{"the same size", existing, dataset("d"), dataset("d", sized("102400Mi")), nil},
		{"size, unchanged", existing, dataset("d", sized("7Ti")), dataset("d", sized("7Ti"), func(d *v1alpha1.Dataset) { d.Spec.Mounts[0].ReadOnly = true }), nil},
		{"size, corrected", existing, dataset("d", sized("7Ti")), dataset("d"), nil},
		{"no claim", existing[1:], dataset("d"), dataset("d", writable, sized("7Ti")), nil},
		{"the claim of another", append([]client.Object{foreign}, existing[1:]...), dataset("d"), dataset("d", writable, sized("7Ti")), nil},
		{"a Dataset that is deleted", existing, dataset("d"), dataset("d", writable, sized("7Ti"), func(d *v1alpha1.Dataset) { deleting(d) }), nil},
		{"a new Dataset", existing, nil, dataset("d", writable, sized("7Ti")), nil},

		{"a load that is complete", existing, load(v1alpha1.CompleteOperationPhase, false), load(v1alpha1.CompleteOperationPhase, true), []string{"spec: Forbidden: a DataLoad is carried out once, and this one is Complete: create another DataLoad"}},
		{"a load that is complete, unchanged", existing, load(v1alpha1.CompleteOperationPhase, true), load(v1alpha1.CompleteOperationPhase, true), nil},
		{"a load that waits", existing, load(v1alpha1.PendingOperationPhase, false), load(v1alpha1.PendingOperationPhase, true), nil},
		{"a load of another runtime", existing[:2], load(v1alpha1.CompleteOperationPhase, false), load(v1alpha1.CompleteOperationPhase, true), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := CheckChange(t.Context(), ctrlreader.New(reader(t, test.existing...)), test.old, test.object)
			if (err == nil) != (len(test.refuses) == 0) {
				t.Fatalf("error %v, want %q", err, test.refuses)
			}
			for _, want := range test.refuses {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
		})
	}
}

// A claim that cannot be read refuses nothing; the controllers report the edit.
func TestAnUnreadableClaimRefusesNothing(t *testing.T) {
	broken := interceptor.NewClient(reader(t, jindo("d", "")), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("no")
		},
	})
	warnings, err := CheckChange(t.Context(), ctrlreader.New(broken), dataset("d"), dataset("d", sized("7Ti")))
	if err != nil || !strings.Contains(strings.Join(warnings, "\n"), "could not determine which fields can be changed: get PersistentVolumeClaim d") {
		t.Errorf("error %v, warnings %q", err, warnings)
	}
}
