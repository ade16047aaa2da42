package install_test

import (
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// user returns a client of an account with all rights.
func (s *apiserver) user(t *testing.T, name string) client.Client {
	t.Helper()
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"system:masters", "system:authenticated"}}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inlinePod returns a pod with an inline volume of the driver.
func inlinePod(namespace, name, driver string, attributes map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "a"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{
				{Name: "other", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "v", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver, VolumeAttributes: attributes}}},
			},
		},
	}
}

// Pods with inline volumes of servers are created by the controllers of Kubernetes
// only, whatever owners they name.
func TestInlineVolumesAreReserved(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	serviceAccount := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
	if err := s.Create(t.Context(), serviceAccount); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	const statefulSets, daemonSets = "system:serviceaccount:kube-system:statefulset-controller", "system:serviceaccount:kube-system:daemon-set-controller"
	dry := client.DryRunAll
	role := func(value string) map[string]string {
		return map[string]string{names.AttributeRole: value, names.AttributeRuntimeName: "hadoop"}
	}
	eventually(t, "the policy is enforced", func() error {
		if err := s.Create(t.Context(), inlinePod(namespace, "a", names.Driver, role(names.RoleWorker)), dry); err == nil {
			return errors.New("an administrator may create the pod")
		}
		return nil
	})
	for _, row := range []struct {
		name, user, driver string
		attributes         map[string]string
		want               string
	}{
		{"a worker of a user", "alice", names.Driver, role(names.RoleWorker), "are reserved"},
		{"a FUSE server of a user", "alice", names.Driver, role(names.RoleFuse), "are reserved"},
		{"no role", "alice", names.Driver, nil, "unknown role"},
		{"another role", "alice", names.Driver, role("Worker"), "unknown role"},
		{"a sidecar", "alice", names.Driver, role(names.RoleSidecar), ""},
		{"another driver", "alice", "csi.example.com", role(names.RoleWorker), ""},
		{"a worker", statefulSets, names.Driver, role(names.RoleWorker), ""},
		{"a worker of a DaemonSet", daemonSets, names.Driver, role(names.RoleWorker), "are reserved"},
		{"a FUSE server", daemonSets, names.Driver, role(names.RoleFuse), ""},
		{"a FUSE server of a StatefulSet", statefulSets, names.Driver, role(names.RoleFuse), "are reserved"},
		{"a worker of a Deployment", "system:serviceaccount:kube-system:replicaset-controller", names.Driver, role(names.RoleWorker), "are reserved"},
		{"one account of all controllers", "system:kube-controller-manager", names.Driver, role(names.RoleWorker), ""},
		{"a FUSE server of a StatefulSet by that account", "system:kube-controller-manager", names.Driver, role(names.RoleFuse), "are reserved"},
	} {
		pod := inlinePod(namespace, "a", row.driver, row.attributes)
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "hadoop-jindofs-worker", UID: "u", Controller: &yes}}
		err := s.user(t, row.user).Create(t.Context(), pod, dry)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

// Where all controllers have one account, it creates the pods of users' Deployments and
// Jobs too, and users may change the owners of a pod later.
func TestInlineVolumesOfOneAccount(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	serviceAccount := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
	if err := s.Create(t.Context(), serviceAccount); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	manager, yes, no := s.user(t, "system:kube-controller-manager"), true, false
	owner := func(version, kind string, controller *bool) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: version, Kind: kind, Name: "hadoop-jindofs-" + strings.ToLower(kind), UID: types.UID(kind), Controller: controller}
	}
	create := func(role string, owners ...metav1.OwnerReference) error {
		pod := inlinePod(namespace, "a", names.Driver, map[string]string{names.AttributeRole: role, names.AttributeRuntimeName: "hadoop"})
		pod.OwnerReferences = owners
		return manager.Create(t.Context(), pod, client.DryRunAll)
	}
	eventually(t, "the policy is enforced", func() error {
		if err := create(names.RoleWorker, owner("apps/v1", "ReplicaSet", &yes)); err == nil {
			return errors.New("a pod of a Deployment may be created")
		}
		return nil
	})
	for _, row := range []struct {
		name, role string
		owners     []metav1.OwnerReference
		allowed    bool
	}{
		{"a StatefulSet", names.RoleWorker, []metav1.OwnerReference{owner("apps/v1", "StatefulSet", &yes)}, true},
		{"a DaemonSet", names.RoleFuse, []metav1.OwnerReference{owner("apps/v1", "DaemonSet", &yes)}, true},
		{"no owner", names.RoleWorker, nil, false},
		{"a Deployment", names.RoleWorker, []metav1.OwnerReference{owner("apps/v1", "ReplicaSet", &yes)}, false},
		{"a Job", names.RoleWorker, []metav1.OwnerReference{owner("batch/v1", "Job", &yes)}, false},
		{"another kind of that name", names.RoleWorker, []metav1.OwnerReference{owner("example.com/v1", "StatefulSet", &yes)}, false},
		{"an owner that does not control it", names.RoleWorker, []metav1.OwnerReference{owner("apps/v1", "StatefulSet", &no)}, false},
		{"two owners", names.RoleWorker, []metav1.OwnerReference{owner("apps/v1", "StatefulSet", nil), owner("apps/v1", "ReplicaSet", &yes)}, false},
		{"a FUSE server of a StatefulSet", names.RoleFuse, []metav1.OwnerReference{owner("apps/v1", "StatefulSet", &yes)}, false},
	} {
		if err := create(row.role, row.owners...); (err == nil) != row.allowed {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// The API server refuses quantities that would take all memory of the controllers.
func TestHostileQuantities(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	runtime := func(memory string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.APIVersion, "kind": v1alpha1.JindoRuntimeKind, "metadata": map[string]any{"namespace": namespace, "name": "hadoop"},
			"spec": map[string]any{"fuse": map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": memory, "cpu": int64(2)}}}},
		}}
	}
	for memory, allowed := range map[string]bool{"1Gi": true, "1e9": true, "0.5Gi": true, "1e-2000000000": false, "1e999": false, strings.Repeat("9", 1000): false} {
		if err := s.Create(t.Context(), runtime(memory), client.DryRunAll); (err == nil) != allowed {
			t.Errorf("%.20s: %v", memory, err)
		}
	}
}

// Workloads of such pods are created and changed by the runtime controller only.
func TestWorkloadsAreReserved(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	template := func() corev1.PodTemplateSpec {
		pod := inlinePod(namespace, "a", names.Driver, map[string]string{names.AttributeRole: names.RoleWorker, names.AttributeRuntimeName: "hadoop"})
		no := false
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no}
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
	}
	set := func(name string) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{ObjectMeta: labelled(namespace, name), Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}, Template: template(),
		}}
	}
	alice, controller := s.user(t, "alice"), s.user(t, account("jindoruntime-controller"))
	eventually(t, "the policy is enforced", func() error {
		if err := alice.Create(t.Context(), set("a-jindofs-worker"), client.DryRunAll); err == nil {
			return errors.New("a user may create the StatefulSet")
		}
		return nil
	})
	daemon := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}, Template: template(),
	}}
	if err := alice.Create(t.Context(), daemon, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "edit the JindoRuntime") {
		t.Errorf("a DaemonSet of a user: %v", err)
	}
	if err := controller.Create(t.Context(), set("a-jindofs-worker")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, part string
		client     client.Client
		want       string
	}{
		{"another image", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"mine"}]}}}}`, alice, "edit the JindoRuntime"},
		{"more replicas", `{"spec":{"replicas":2}}`, alice, ""},
		{"a label", `{"metadata":{"labels":{"a":"b"}}}`, alice, ""},
		{"another image, by the controller", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"ours"}]}}}}`, controller, ""},
	} {
		err := row.client.Patch(t.Context(), set("a-jindofs-worker"), client.RawPatch(types.StrategicMergePatchType, []byte(row.part)))
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	// A volume that is added to a workload of a user.
	plain := set("plain")
	plain.Spec.Template.Spec.Volumes = nil
	if err := alice.Create(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	plain.Spec.Template.Spec.Volumes = template().Spec.Volumes
	if err := alice.Update(t.Context(), plain); err == nil || !strings.Contains(err.Error(), "edit the JindoRuntime") {
		t.Errorf("a volume that is added: %v", err)
	}
}
