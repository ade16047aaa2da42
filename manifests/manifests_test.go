package manifests_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/manifests"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
)

// decode decodes a manifest strictly: unknown fields fail the test.
func decode(t *testing.T, manifest string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for _, text := range strings.Split(manifest, "\n---\n") {
		object, _, err := decoder.Decode([]byte(text), nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text[:min(len(text), 400)])
		}
		objects = append(objects, object)
	}
	return objects
}

// named returns the objects of one type by name.
func named[T any](t *testing.T, manifest string) map[string]*T {
	t.Helper()
	found := map[string]*T{}
	for _, object := range decode(t, manifest) {
		if typed, ok := any(object).(*T); ok {
			accessor, err := meta.Accessor(object)
			if err != nil {
				t.Fatal(err)
			}
			found[accessor.GetName()] = typed
		}
	}
	return found
}

// pods returns all pod templates by the name of their workload.
func pods(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	templates := map[string]corev1.PodTemplateSpec{}
	for name, d := range named[appsv1.Deployment](t, manifests.Install) {
		templates[name] = d.Spec.Template
	}
	for name, d := range named[appsv1.DaemonSet](t, manifests.Install) {
		templates[name] = d.Spec.Template
	}
	return templates
}

func settings(t *testing.T) map[string]string {
	t.Helper()
	var c corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(manifests.Settings), &c); err != nil {
		t.Fatal(err)
	}
	return c.Data
}

func TestNamespacesAndNames(t *testing.T) {
	clusterWide := []string{
		"Namespace", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "PriorityClass",
	}
	for _, object := range decode(t, manifests.Install) {
		accessor, err := meta.Accessor(object)
		if err != nil {
			t.Fatal(err)
		}
		kind := object.GetObjectKind().GroupVersionKind().Kind
		want := names.SystemNamespace
		if slices.Contains(clusterWide, kind) {
			want = ""
		}
		if accessor.GetNamespace() != want {
			t.Errorf("%s %s is in namespace %q, want %q", kind, accessor.GetName(), accessor.GetNamespace(), want)
		}
		if accessor.GetLabels()["app.kubernetes.io/part-of"] != "jindo" {
			t.Errorf("%s %s has no label that it is part of jindo", kind, accessor.GetName())
		}
	}
	if _, ok := named[corev1.Namespace](t, manifests.Install)[names.SystemNamespace]; !ok {
		t.Errorf("namespace %s not found", names.SystemNamespace)
	}
	for _, who := range []string{"dataset-controller", "jindoruntime-controller", "csi-nodeplugin-fluid", names.Webhook} {
		if _, ok := named[corev1.ServiceAccount](t, manifests.Install)[who]; !ok {
			t.Errorf("%s has no ServiceAccount", who)
		}
		if pods(t)[who].Spec.ServiceAccountName != who {
			t.Errorf("the pods of %s run as %q", who, pods(t)[who].Spec.ServiceAccountName)
		}
	}
}

// One line sets the image of all components, and one the root directory of the
// kubelets.
func TestOnePlaceSetsImageAndKubelet(t *testing.T) {
	set := settings(t)
	const image, directory = "registry.example.com:5000/our/jindo:v9", "/data/kubelet"
	text := strings.NewReplacer(set["image"], image, set["kubelet"], directory).Replace(manifests.Install)
	for name, pod := range pods(t) {
		for _, c := range pod.Spec.Containers {
			if c.Image != set["image"] {
				t.Errorf("container %s of %s runs %s, want %s", c.Name, name, c.Image, set["image"])
			}
			for _, v := range c.Env {
				if v.Name == "JINDO_IMAGE" && v.Value != set["image"] {
					t.Errorf("%s hands on the image %s", name, v.Value)
				}
			}
		}
	}
	plugin := named[appsv1.DaemonSet](t, text)["csi-nodeplugin-fluid"].Spec.Template.Spec
	paths := map[string]string{}
	for _, v := range plugin.Volumes {
		if v.HostPath != nil {
			paths[v.Name] = v.HostPath.Path
		}
	}
	for name, want := range map[string]string{
		"kubelet": directory, "socket": directory + "/csi-plugins/" + names.Driver, "registration": directory + "/plugins_registry", "dev": "/dev",
	} {
		if paths[name] != want {
			t.Errorf("volume %s is %s, want %s", name, paths[name], want)
		}
	}
	if plugin.Containers[0].Image != image {
		t.Errorf("the image is %s", plugin.Containers[0].Image)
	}
	for _, left := range []string{"value: settings", "image: settings", "Path: settings", "ghcr.io/jindo-io/jindo:devel", "/var/lib/kubelet", "caBundle"} {
		if strings.Contains(text, left) {
			t.Errorf("the manifest still contains %q", left)
		}
	}
}

// The controllers comply with Pod Security "restricted". The node plugin violates only
// the rules that mounting requires it to violate.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[api.Level][]string{
		"dataset-controller":      {api.LevelRestricted: nil},
		"jindoruntime-controller": {api.LevelRestricted: nil},
		names.Webhook:             {api.LevelRestricted: nil},
		"csi-nodeplugin-fluid":    {api.LevelBaseline: {"hostPath volumes", "privileged"}},
	} {
		pod := pods(t)[name]
		for level, reasons := range want {
			var got []string
			for _, r := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec) {
				if !r.Allowed {
					got = append(got, r.ForbiddenReason)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, reasons) {
				t.Errorf("%s violates %s with %q, want %q", name, level, got, reasons)
			}
		}
	}
}

func TestControllersSurviveANode(t *testing.T) {
	for name, d := range named[appsv1.Deployment](t, manifests.Install) {
		pod := d.Spec.Template.Spec
		apart := pod.Affinity != nil && pod.Affinity.PodAntiAffinity != nil || len(pod.TopologySpreadConstraints) > 0
		if d.Spec.Replicas == nil || *d.Spec.Replicas != 2 || !apart {
			t.Errorf("%s does not spread its pods over nodes", name)
		}
		c := pod.Containers[0]
		if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.Ports[0].ContainerPort != topology.HealthPort {
			t.Errorf("%s has no probe on port %d", name, topology.HealthPort)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s has no resources", name)
		}
	}
}

// checkTiers expects that the node plugin sees the directories of nodes that tiers may
// use, at their paths on the node, and cannot change them.
func checkTiers(t *testing.T, pod *corev1.PodSpec) {
	t.Helper()
	parent := settings(t)["hostPathsParent"]
	for path := range strings.SplitSeq(settings(t)["hostPaths"], ",") {
		if !strings.HasPrefix(path, parent+"/") {
			t.Errorf("%s is not below %s", path, parent)
		}
	}
	i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "tiers" })
	if i < 0 || pod.Volumes[i].HostPath == nil || pod.Volumes[i].HostPath.Path != parent {
		t.Errorf("the volume of the tiers is not %s: %+v", parent, pod.Volumes)
	}
	i = slices.IndexFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "tiers" })
	if i < 0 {
		t.Fatal("the plugin does not mount the tiers")
	}
	m := pod.Containers[0].VolumeMounts[i]
	if m.MountPath != parent || !m.ReadOnly || m.MountPropagation == nil || *m.MountPropagation != corev1.MountPropagationHostToContainer {
		t.Errorf("the tiers are mounted as %+v", m)
	}
}

func TestNodePlugin(t *testing.T) {
	ds := named[appsv1.DaemonSet](t, manifests.Install)["csi-nodeplugin-fluid"]
	pod := ds.Spec.Template.Spec
	if len(pod.Containers) != 2 || pod.Containers[0].Name != "plugin" || pod.Containers[1].Name != "keeper" {
		t.Fatalf("the containers are %v", pod.Containers)
	}
	if len(pod.Tolerations) != 1 || pod.Tolerations[0] != (corev1.Toleration{Operator: corev1.TolerationOpExists}) {
		t.Errorf("the DaemonSet does not tolerate every taint: %v", pod.Tolerations)
	}
	if ds.Spec.UpdateStrategy != (appsv1.DaemonSetUpdateStrategy{}) {
		t.Errorf("applying the manifest overwrites the update strategy: %+v", ds.Spec.UpdateStrategy)
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		bidirectional := m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional
		if bidirectional != (m.Name == "kubelet") {
			t.Errorf("volume %s is bidirectional: %v", m.Name, bidirectional)
		}
	}
	checkTiers(t, &pod)
	if keeper := pod.Containers[1]; keeper.LivenessProbe != nil || len(keeper.Resources.Limits) > 0 {
		t.Error("the keeper has limits or probes")
	}
	driver := named[storagev1.CSIDriver](t, manifests.Install)[names.Driver]
	if driver == nil {
		t.Fatalf("CSIDriver %s not found", names.Driver)
	}
	if s := driver.Spec; *s.AttachRequired || !*s.PodInfoOnMount || !*s.RequiresRepublish || *s.FSGroupPolicy != storagev1.NoneFSGroupPolicy || len(s.VolumeLifecycleModes) != 2 {
		t.Errorf("the driver is %+v", s)
	}
	if driver.Labels["security.kubernetes.io/csi-ephemeral-volume-profile"] != "restricted" {
		t.Error("inline volumes are not allowed in restricted namespaces")
	}
}

// No role has wildcard rights, lists Secrets, or grants rights.
func TestLeastPrivilege(t *testing.T) {
	for name, role := range named[rbacv1.ClusterRole](t, manifests.Install) {
		checkRules(t, name, role.Rules, true)
	}
	for name, role := range named[rbacv1.Role](t, manifests.Install) {
		checkRules(t, name, role.Rules, false)
	}
}

func checkRules(t *testing.T, name string, rules []rbacv1.PolicyRule, clusterWide bool) {
	t.Helper()
	for _, rule := range rules {
		for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
			if strings.Contains(word, "*") || slices.Contains([]string{"escalate", "bind", "impersonate"}, word) {
				t.Errorf("%s may %q", name, word)
			}
		}
		has := func(resource string, verbs ...string) bool {
			return slices.Contains(rule.Resources, resource) && slices.ContainsFunc(verbs, func(v string) bool { return slices.Contains(rule.Verbs, v) })
		}
		if clusterWide && has("secrets", "list", "watch", "deletecollection") {
			t.Errorf("%s may list the Secrets of every namespace", name)
		}
		if clusterWide && has("pods", "create", "update") {
			t.Errorf("%s may create pods in every namespace", name)
		}
		// Policy jindo-controllers-annotations restricts these patches.
		if clusterWide && has("pods", "patch") && name != "jindoruntime-controller" {
			t.Errorf("%s may change pods in every namespace", name)
		}
		if strings.HasPrefix(name, "csi-") && (has("secrets", "get") || has("nodes", "list", "update", "delete")) {
			t.Errorf("%s may %v %v", name, rule.Verbs, rule.Resources)
		}
	}
}

// kubectl apply stores a copy of each object in an annotation, whose size is
// limited.
// TestUsersCannotWriteStatus: the status holds the effective spec, from which everything
// derives, so the roles of users of a namespace do not include writing it.
func TestUsersCannotWriteStatus(t *testing.T) {
	aggregated := 0
	for name, role := range named[rbacv1.ClusterRole](t, manifests.Install) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(role.Labels)), func(key string) bool { return strings.HasPrefix(key, "rbac.authorization.k8s.io/aggregate-to-") }) {
			continue
		}
		aggregated++
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				wide := strings.HasSuffix(resource, "/status") || strings.Contains(resource, "*")
				if wide && slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) }) {
					t.Errorf("ClusterRole %s: %v of %s", name, rule.Verbs, resource)
				}
			}
		}
	}
	if aggregated == 0 {
		t.Error("no ClusterRole of users found")
	}
}

func TestCRDsCanBeApplied(t *testing.T) {
	const limit = 256 << 10
	crds := named[apiextensionsv1.CustomResourceDefinition](t, manifests.CRDs)
	if len(crds) != 3 {
		t.Errorf("%d CRDs", len(crds))
	}
	for name, crd := range crds {
		raw, err := json.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > limit*9/10 {
			t.Errorf("%s has %d bytes, too near the %d that kubectl apply can do", name, len(raw), limit)
		}
	}
}
