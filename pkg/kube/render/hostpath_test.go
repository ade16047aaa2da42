package render

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/plan"
)

func allow(t testing.TB, setting string) hostpath.Policy {
	t.Helper()
	p, err := hostpath.Parse(setting, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// nodePaths returns every directory of nodes that objects refer to. It does not use
// the renderer's own list of places.
func nodePaths(objects []client.Object) []string {
	var all []string
	add := func(volumes []corev1.Volume) {
		for _, v := range volumes {
			if v.HostPath != nil {
				all = append(all, v.HostPath.Path)
			}
		}
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.PersistentVolume:
			all = append(all, o.Spec.HostPath.Path)
		case *appsv1.StatefulSet:
			add(o.Spec.Template.Spec.Volumes)
		case *appsv1.DaemonSet:
			add(o.Spec.Template.Spec.Volumes)
		}
	}
	return all
}

// rebuild plans again after a change of the runtime.
func rebuild(t testing.TB, in *Input) {
	t.Helper()
	var err error
	if in.Plan, err = plan.Build(in.Dataset, in.Runtime); err != nil {
		t.Fatal(err)
	}
}

func kinds(objects []client.Object) string {
	var all []string
	for _, o := range objects {
		all = append(all, o.GetObjectKind().GroupVersionKind().Kind+"/"+o.GetName())
	}
	return strings.Join(all, " ")
}

// TestTierPathsAreAllowed renders tiers of many paths: a directory of nodes is
// rendered only if the path equals an allowed directory.
func TestTierPathsAreAllowed(t *testing.T) {
	const emptyDir = "/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~empty-dir/v"
	for paths, allowed := range map[string]bool{
		"/mnt/disk1": true, "/mnt/disk1/": true, " /mnt/disk1 ,/mnt/disk2": true,
		emptyDir: false, emptyDir + ",/mnt/disk1": false,
		"/mnt/disk1/team/hadoop/jindofs/tier": false, "/mnt/disk1/a": false, "/mnt": false, "/mnt/disk4": false, "/MNT/disk1": false,
		"/etc": false, "/proc/1/root/mnt": false, "/var/run": false, "/mnt/d\u0456sk1": false, "/mnt/disk1\u200b": false,
	} {
		in := input(t, "testdata/seed.yaml")
		in.HostPaths = allow(t, "/mnt/disk1,/mnt/disk2")
		in.Runtime.Spec.TieredStore.Levels[0].Path = paths
		rebuild(t, &in)
		objects, err := Objects(in)
		got := nodePaths(objects)
		if !allowed {
			if !errors.Is(err, hostpath.ErrRefused) || len(got) > 0 || strings.Contains(kinds(objects), "StatefulSet/hadoop-jindofs-worker") {
				t.Errorf("path %q: error %v, rendered %q in %s", paths, err, got, kinds(objects))
			}
			continue
		}
		if err != nil || len(got) < 5 {
			t.Errorf("path %q: error %v, rendered %q", paths, err, got)
		}
		for _, p := range got {
			if root := path.Dir(path.Dir(path.Dir(path.Dir(p)))); !slices.Contains([]string{"/mnt/disk1", "/mnt/disk2"}, root) {
				t.Errorf("path %q: rendered %s", paths, p)
			}
		}
	}
}

// TestRecordedTiersAreChecked: an effective spec is checked where it is used, also if it
// was checked before it was recorded.
func TestRecordedTiersAreChecked(t *testing.T) {
	in := input(t, "testdata/seed.yaml")
	in.Runtime.Spec.TieredStore.Levels[0].Path = "/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~empty-dir/v"
	rebuild(t, &in)
	objects, err := Objects(in)
	if !errors.Is(err, hostpath.ErrRefused) || len(nodePaths(objects)) > 0 {
		t.Errorf("error %v, rendered %q", err, nodePaths(objects))
	}
	if !strings.Contains(kinds(objects), "ConfigMap/hadoop-jindofs-config") || !strings.Contains(kinds(objects), "DaemonSet/hadoop-jindofs-fuse") {
		t.Errorf("objects without directories of nodes are missing: %s", kinds(objects))
	}
	if in.HostPathAllowed() == nil {
		t.Error("HostPathAllowed accepts the tier")
	}
}

// TestSecondTierIsChecked: an allowed tier does not bring another one with it.
func TestSecondTierIsChecked(t *testing.T) {
	in := input(t, "testdata/seed.yaml")
	in.Runtime.Spec.TieredStore.Levels[0].Path = "/mnt/disk1,/srv"
	rebuild(t, &in)
	objects, err := Objects(in)
	if !errors.Is(err, hostpath.ErrRefused) || strings.Contains(strings.Join(nodePaths(objects), " "), "/srv") || strings.Contains(kinds(objects), "StatefulSet/hadoop-jindofs-worker") {
		t.Errorf("error %v, rendered %q in %s", err, nodePaths(objects), kinds(objects))
	}
}

func TestPodSecurityForbidsDirectories(t *testing.T) {
	in := input(t, "testdata/seed.yaml")
	in.PodSecurity = hostpath.CheckNamespace("team", map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
	objects, err := Objects(in)
	if !errors.Is(err, hostpath.ErrPodSecurity) || len(nodePaths(objects)) > 0 || strings.Contains(kinds(objects), "StatefulSet") {
		t.Errorf("error %v, rendered %q in %s", err, nodePaths(objects), kinds(objects))
	}
	in = input(t, "testdata/emptydir.yaml")
	in.PodSecurity = hostpath.CheckNamespace("team", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	if _, err := Objects(in); err != nil {
		t.Errorf("tiers in emptyDir volumes: %v", err)
	}
}

func TestDeclaredVolumesAreNoDirectories(t *testing.T) {
	for _, directory := range []string{"/mnt/disk1", "/etc", "/mnt/nas", "/mnt/disk1/default/other/jindofs/tier"} {
		for _, role := range []plan.Role{plan.RoleMaster, plan.RoleWorker} {
			in := input(t, "testdata/seed.yaml")
			in.Runtime.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: directory}}}}
			component := &in.Runtime.Spec.Master
			if role == plan.RoleWorker {
				component = &in.Runtime.Spec.Worker
			}
			component.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
			rebuild(t, &in)
			objects, err := Objects(in)
			if !errors.Is(err, hostpath.ErrRefused) || slices.Contains(nodePaths(objects), directory) || strings.Contains(kinds(objects), "StatefulSet/hadoop-jindofs-"+string(role)) {
				t.Errorf("%s of %s: error %v, rendered %q", directory, role, err, nodePaths(objects))
			}
		}
	}
	if !UsesHostPaths(&plan.Plan{}, &v1alpha1.JindoRuntime{Spec: v1alpha1.JindoRuntimeSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}}}}}) {
		t.Error("a declared directory of nodes does not count as one")
	}
}

// TestDeclaredDirectories: a worker serves directories of declared volumes only, and
// never all of its container.
func TestDeclaredDirectories(t *testing.T) {
	in := input(t, "testdata/emptydir.yaml")
	flags := func() []string {
		t.Helper()
		rebuild(t, &in)
		objects, err := Objects(in)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(slices.Clone(templates(objects)["train-jindofs-worker"].Spec.Containers[0].Args), func(a string) bool { return !strings.HasPrefix(a, "--directory") })
	}
	if got := flags(); len(got) > 0 {
		t.Errorf("without declared volumes: %q", got)
	}
	in.Runtime.Spec.Volumes = []corev1.Volume{
		{Name: "nas", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}},
		{Name: "keys", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "train-jindofs-credentials"}}},
	}
	in.Runtime.Spec.Worker.VolumeMounts = []corev1.VolumeMount{{Name: "nas", MountPath: "/mnt/nas"}, {Name: "keys", MountPath: "/keys"}}
	if got := flags(); !slices.Equal(got, []string{"--directory=/mnt/nas"}) {
		t.Errorf("with declared volumes: %q", got)
	}
}

// TestDirectoriesAreNotExpanded: the kubelet replaces variables in the arguments of a
// container, and users choose variables and the paths of mounts. A worker with the
// argument --directory=/ would serve its whole container.
func TestDirectoriesAreNotExpanded(t *testing.T) {
	in := input(t, "testdata/emptydir.yaml")
	in.Runtime.Spec.Volumes = []corev1.Volume{{Name: "nas", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}}}
	in.Runtime.Spec.Worker.Env = map[string]string{"ROOT": "", "UP": ".."}
	for _, dir := range []string{"/$(ROOT)", "/mnt/$(UP)/$(UP)", "/$$(ROOT)", "/$$$(ROOT)", "/a$", "/$(JINDO_DATA)", "/$(UNKNOWN)"} {
		in.Runtime.Spec.Worker.VolumeMounts = []corev1.VolumeMount{{Name: "nas", MountPath: dir}}
		rebuild(t, &in)
		objects, err := Objects(in)
		if err != nil {
			t.Fatal(err)
		}
		worker := templates(objects)["train-jindofs-worker"].Spec.Containers[0]
		if got := expand(worker.Args[len(worker.Args)-1], worker.Env); got != "--directory="+dir {
			t.Errorf("mounted at %s, the worker's argument is %s", dir, got)
		}
	}
}

// expand replaces variables in an argument as the kubelet does: $(NAME) by the value,
// $$ by $; unknown names remain.
func expand(arg string, env []corev1.EnvVar) string {
	var b strings.Builder
	for arg != "" {
		switch name, rest, closed := strings.Cut(strings.TrimPrefix(arg, "$("), ")"); {
		case strings.HasPrefix(arg, "$$"):
			b.WriteByte('$')
			arg = arg[2:]
		case strings.HasPrefix(arg, "$(") && closed:
			at := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
			if at >= 0 {
				b.WriteString(env[at].Value)
			} else {
				b.WriteString("$(" + name + ")")
			}
			arg = rest
		default:
			b.WriteByte(arg[0])
			arg = arg[1:]
		}
	}
	return b.String()
}

// TestReservedVolumes: every volume of a component has a reserved name, so that no
// declared volume of the same name shows it at a path that is served.
func TestReservedVolumes(t *testing.T) {
	for _, file := range files(t) {
		objects, err := Objects(input(t, file))
		if err != nil {
			t.Fatal(err)
		}
		for name, template := range templates(objects) {
			for _, v := range template.Spec.Volumes {
				if !v1alpha1.ReservedVolume(v.Name) && v.Name != "extra" { // the one that settings.yaml declares
					t.Errorf("%s: volume %s of %s is not reserved", file, v.Name, name)
				}
			}
		}
	}
	in := input(t, "testdata/emptydir.yaml")
	in.Runtime.Spec.Volumes = []corev1.Volume{{Name: "credentials", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}}}}
	in.Runtime.Spec.Worker.VolumeMounts = []corev1.VolumeMount{{Name: "credentials", MountPath: "/mnt/nas"}}
	objects, err := Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	worker := templates(objects)["train-jindofs-worker"].Spec.Containers[0]
	for _, mount := range worker.VolumeMounts {
		if mount.MountPath == "/mnt/nas" {
			t.Errorf("the worker's volume %s is mounted at %s", mount.Name, mount.MountPath)
		}
	}
	if slices.ContainsFunc(worker.Args, func(a string) bool { return strings.HasPrefix(a, "--directory") }) {
		t.Errorf("it is served: %q", worker.Args)
	}
}
