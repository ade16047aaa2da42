package install_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// labelled returns the metadata of an object of a runtime.
func labelled(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: names.Labels("hadoop", "worker")}
}

// podSpec returns the spec of a container without privileges, with a directory of the
// node.
func podSpec(directory string) corev1.PodSpec {
	no := false
	return corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "i", SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no}}},
		Volumes:    []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: directory}}}},
	}
}

func workload(namespace, name string, change func(*corev1.PodSpec)) *appsv1.StatefulSet {
	labels := names.Labels("hadoop", "worker")
	set := &appsv1.StatefulSet{ObjectMeta: labelled(namespace, name)}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels, set.Spec.Template.Spec = labels, podSpec("/mnt/disk1/team/hadoop/jindofs/tier")
	change(&set.Spec.Template.Spec)
	return set
}

func volume(name, directory string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: labelled("", name)}
	pv.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	pv.Spec.HostPath = &corev1.HostPathVolumeSource{Path: directory}
	return pv
}

func csiVolume(name, driver string) *corev1.PersistentVolume {
	pv := volume(name, "")
	pv.Spec.HostPath, pv.Spec.CSI = nil, &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: name}
	return pv
}

// The accounts of the controllers may write objects of runtimes, and nothing that gives
// them rights on nodes or over objects of others.
func TestControllersWriteObjectsOfRuntimesOnly(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	as := s.as(t, "jindoruntime-controller", "")
	secret := func(name string, change func(*corev1.Secret)) *corev1.Secret {
		secret := &corev1.Secret{ObjectMeta: labelled(namespace, name)}
		change(secret)
		return secret
	}
	eventually(t, "the policy is enforced", func() error {
		if err := as.Create(t.Context(), secret("stolen", func(s *corev1.Secret) { s.Labels = nil }), client.DryRunAll); err == nil {
			return errors.New("the controller may create any Secret")
		}
		return nil
	})
	none := func(*corev1.PodSpec) {}
	for _, row := range []struct {
		name   string
		object client.Object
		want   string
	}{
		{"its Secret", secret("hadoop-jindofs-fuse", func(*corev1.Secret) {}), ""},
		{"a Secret without the label", secret("hadoop-jindofs-fuse", func(s *corev1.Secret) { s.Labels = nil }), "fluid.io/managed-by=jindo"},
		{"a Secret of another name", secret("admin", func(*corev1.Secret) {}), "-jindofs-"},
		{"an authority elsewhere", secret("jindo-ca-x", func(*corev1.Secret) {}), "-jindofs-"},
		{"an authority", secret("jindo-ca-x", func(s *corev1.Secret) { s.Namespace = names.SystemNamespace }), ""},
		{"a token", secret("a-jindofs-b", func(s *corev1.Secret) {
			s.Type = corev1.SecretTypeServiceAccountToken
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
		}), "Opaque"},
		{"its workload", workload(namespace, "hadoop-jindofs-worker", none), ""},
		{"a workload of another name", workload(namespace, "worker", none), "-jindofs-"},
		{"the network of the node", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) { p.HostNetwork = true }), "no namespaces of the node"},
		{"the processes of the node", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) { p.HostPID = true }), "no namespaces of the node"},
		{"privileges", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) {
			yes := true
			p.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		}), "no privileges"},
		{"privileges later", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) { p.Containers[0].SecurityContext = nil }), "no privileges"},
		{"a capability of a first container", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) {
			first := *p.Containers[0].DeepCopy()
			first.Name, first.SecurityContext.Capabilities = "first", &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}
			p.InitContainers = []corev1.Container{first}
		}), "no privileges"},
		{"the root of the node", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) { *p = podSpec("/") }), "may only use the directories"},
		{"a directory that begins alike", workload(namespace, "a-jindofs-worker", func(p *corev1.PodSpec) { *p = podSpec("/mnt/disk10/x") }), "may only use the directories"},
		{"a master's volume", volume("team-hadoop-jindofs-master-0", "/mnt/disk2/team/hadoop/jindofs/master"), ""},
		{"a volume of the kubelet", volume("team-hadoop-jindofs-master-0", "/var/lib/kubelet"), "may only create volumes of driver"},
		{"a whole disk", volume("team-hadoop-jindofs-master-0", "/mnt/disk2"), "may only create volumes of driver"},
		{"a Dataset's volume", csiVolume("team-hbase", names.Driver), ""},
		{"a volume of another driver", csiVolume("team-hbase", "secrets.example.com"), "may only create volumes of driver"},
	} {
		err := as.Create(t.Context(), row.object, client.DryRunAll)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: error %v, want %q", row.name, err, row.want)
		}
	}
	theirs := secret("theirs-jindofs-x", func(s *corev1.Secret) { s.Labels = nil })
	if err := s.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	adopted := theirs.DeepCopy()
	adopted.Labels = names.Labels("hadoop", "")
	if err := as.Update(t.Context(), adopted); err == nil || !strings.Contains(err.Error(), "managed-by") {
		t.Errorf("adoption of a Secret of others: %v", err)
	}
	if err := as.Delete(t.Context(), theirs); err == nil || !strings.Contains(err.Error(), "managed-by") {
		t.Errorf("deletion of a Secret of others: %v", err)
	}
	// A user removed the label of an object of a runtime, which the controller restores.
	yes := true
	own := secret("own-jindofs-x", func(s *corev1.Secret) {
		s.Labels = nil
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.JindoRuntimeKind, Name: "hadoop", UID: "u", Controller: &yes}}
	})
	if err := s.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	own.Labels = names.Labels("hadoop", "")
	if err := as.Update(t.Context(), own); err != nil {
		t.Errorf("the label of an own Secret: %v", err)
	}
}

// The controllers change only the labels of nodes that belong to runtimes.
func TestControllersLabelNodesOnly(t *testing.T) {
	s := start(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "of-the-controllers", Labels: map[string]string{"disktype": "ssd"}}}
	if err := s.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	as := s.as(t, "jindoruntime-controller", "")
	for part, want := range map[string]string{
		`{"metadata":{"labels":{"fluid.io/s-team-a":"true"}}}`:                 "",
		`{"metadata":{"labels":{"fluid.io/f-team-a":null}}}`:                   "",
		`{"metadata":{"labels":{"disktype":"hdd"}}}`:                           "may only change labels",
		`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`: "may only change labels",
		`{"metadata":{"annotations":{"a":"b"}}}`:                               "may only change labels",
		`{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`:              "may only change labels",
	} {
		eventually(t, part, func() error {
			err := as.Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name}}, client.RawPatch(types.MergePatchType, []byte(part)), client.DryRunAll)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				return errors.New(part + ": " + errorText(err) + ", want " + want)
			}
			return nil
		})
	}
}

// The controllers change one annotation of the pods of runtimes, and nothing else of pods.
func TestControllersAnnotatePodsOnly(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	as := s.as(t, "jindoruntime-controller", "")
	pods := map[string]map[string]string{"ours": names.Labels("hadoop", "worker"), "theirs": nil}
	for name, labels := range pods {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, Annotations: map[string]string{"a": "b"}}}
		// The container of another product has not the settings of ours.
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
		if err := s.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct{ pod, part, want string }{
		{"ours", `{"metadata":{"annotations":{"jindo.io/credentials-refreshed":"1"}}}`, ""},
		{"theirs", `{"metadata":{"annotations":{"jindo.io/credentials-refreshed":"1"}}}`, "managed-by"},
		{"ours", `{"metadata":{"annotations":{"a":"c"}}}`, "may only change the annotation"},
		{"ours", `{"metadata":{"annotations":{"a":null}}}`, "may only change the annotation"},
		{"ours", `{"metadata":{"labels":{"a":"b"}}}`, "may only change the annotation"},
		{"ours", `{"metadata":{"finalizers":["example.com/f"]}}`, "may only change the annotation"},
		{"ours", `{"spec":{"containers":[{"name":"c","image":"other"}]}}`, "may only change the annotation"},
	} {
		eventually(t, row.part, func() error {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: row.pod}}
			err := as.Patch(t.Context(), pod, client.RawPatch(types.StrategicMergePatchType, []byte(row.part)), client.DryRunAll)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				return errors.New(row.pod + " " + row.part + ": " + errorText(err) + ", want " + row.want)
			}
			return nil
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// What the controllers render passes the policies.
func TestRenderedObjectsPassThePolicies(t *testing.T) {
	s := start(t)
	as := s.as(t, "jindoruntime-controller", "")
	golden, err := filepath.Glob("../../../pkg/kube/render/testdata/*.golden")
	if err != nil || len(golden) == 0 {
		t.Fatalf("%d files: %v", len(golden), err)
	}
	for _, path := range golden {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("/mnt/ssd0", "/mnt/disk2", "/mnt/ssd1", "/mnt/disk3").Replace(string(raw)) // which the default settings allow
		for document := range strings.SplitSeq(text, "\n---\n") {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(document), object); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if namespace := object.GetNamespace(); namespace != "" {
				err := s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
				if client.IgnoreAlreadyExists(err) != nil {
					t.Fatal(err)
				}
			}
			if err := as.Create(t.Context(), object, client.DryRunAll); err != nil {
				t.Errorf("%s: %s %s: %v", filepath.Base(path), object.GetKind(), object.GetName(), err)
			}
		}
	}
}
