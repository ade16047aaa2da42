package dataset_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// testTenants binds two Datasets whose NAMESPACE-NAME is the same, in both orders, and
// deletes each of them.
func testTenants(s *testNamespace) {
	for i, order := range [][2]int{{0, 1}, {1, 0}} {
		first := s.name + fmt.Sprint(i)
		all := [2]*testNamespace{s.of(first), s.of(first + "-b")}
		datasets := [2]string{"b-c", "c"}
		var found [2]names.Scope
		for at, this := range order {
			found[this] = all[this].bindDataset(datasets[this], fmt.Sprintf("scope-%d-%d", i, this))
			expected := names.ScopeOf(all[this].name, datasets[this], "")
			if at == 1 {
				expected = expected.Distinct(0)
			}
			if found[this] != expected {
				s.t.Errorf("Dataset %s/%s has the volume %s, want %s", all[this].name, datasets[this], found[this].Name, expected.Name)
			}
		}
		all[0].lostVolumeName(datasets[0], found[0])
		all[1].lostVolumeName(datasets[1], found[1])
		deleted, kept := order[i], order[1-i]
		all[deleted].deleteDataset(datasets[deleted], found[deleted])
		pv := &corev1.PersistentVolume{}
		s.must(s.admin.Get(s.t.Context(), types.NamespacedName{Name: found[kept].Volume()}, pv))
		if ref := pv.Spec.ClaimRef; pv.DeletionTimestamp != nil || ref.Namespace != all[kept].name || ref.Name != datasets[kept] {
			s.t.Errorf("PersistentVolume %s of the other Dataset has claimRef %+v and is deleted at %v", pv.Name, ref, pv.DeletionTimestamp)
		}
	}
}

// of returns a test namespace with a name.
func (s *testNamespace) of(name string) *testNamespace {
	s.t.Helper()
	s.must(s.admin.Create(s.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	return &testNamespace{s.cluster, s.t, name}
}

// bindDataset creates a Dataset and a runtime with a recorded scope, and returns the scope
// of its volume once the claim is bound.
func (s *testNamespace) bindDataset(name, scope string) names.Scope {
	s.t.Helper()
	d := newDataset()
	d.Name = name
	s.create(d)
	s.create(newRuntime(name, "", 0))
	s.eventually(func() string {
		r := &v1alpha1.JindoRuntime{}
		s.get(name, r)
		r.Status.ScopeName = scope
		if err := s.admin.Status().Update(s.t.Context(), r); err != nil {
			return err.Error()
		}
		return ""
	})
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	s.eventually(func() string {
		if !s.get(name, pvc) || pvc.Status.Phase != corev1.ClaimBound || !s.get(name, d) {
			return "claim " + name + " is not bound"
		}
		return ""
	})
	of := scopes.OfVolume(d)
	s.must(s.admin.Get(s.t.Context(), types.NamespacedName{Name: of.Volume()}, pv))
	label := names.ScopeOf(s.name, name, scope).FuseNodeLabel()
	if got := pv.Spec.CSI.VolumeAttributes[names.AttributeNodeSelectorKey]; got != label || pv.Spec.CSI.VolumeHandle != of.Volume() || pv.Spec.ClaimRef.UID != pvc.UID {
		s.t.Errorf("volume %s has label %s, handle %s and claim %+v, want label %s", pv.Name, got, pv.Spec.CSI.VolumeHandle, pv.Spec.ClaimRef, label)
	}
	return of
}

// lostVolumeName removes the recorded name, which returns.
func (s *testNamespace) lostVolumeName(name string, of names.Scope) {
	s.t.Helper()
	d := &v1alpha1.Dataset{}
	s.eventually(func() string {
		s.get(name, d)
		d.Status.VolumeName = ""
		if err := s.admin.Status().Update(s.t.Context(), d); err != nil {
			return err.Error()
		}
		return ""
	})
	s.eventually(func() string {
		if s.get(name, d); d.Status.VolumeName != of.Name {
			return fmt.Sprintf("recorded name %q, want %q", d.Status.VolumeName, of.Name)
		}
		return ""
	})
}

func (s *testNamespace) deleteDataset(name string, of names.Scope) {
	s.t.Helper()
	d := &v1alpha1.Dataset{}
	s.get(name, d)
	s.must(s.admin.Delete(s.t.Context(), d))
	s.eventually(func() string {
		pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
		if s.get(name, pvc) || s.admin.Get(s.t.Context(), types.NamespacedName{Name: of.Volume()}, pv) == nil || s.get(name, d) {
			return "the Dataset or its volume still exists"
		}
		return ""
	})
}
