package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Directories returns the directories in a worker's container from which local:// and
// file:// mounts are served on Kubernetes: those of the volumes that the runtime
// declares for its workers. Everything else in the container, such as the credentials
// of the stores, is the worker's own.
//
// A volume of Secrets or of the pod's metadata is not served, nor one whose directory
// overlaps such a volume or a directory of the worker. If a volume is mounted over a
// directory of the worker or on the path to one, none is served: a symbolic link in
// that volume could have the worker's own volumes mounted in one that is served.
func Directories(runtime *v1alpha1.JindoRuntime) []string {
	mounts := runtime.Spec.Worker.VolumeMounts
	covers := func(m corev1.VolumeMount) bool { return coversOwn(absolute(m.MountPath)) }
	if len(mounts) > v1alpha1.MaxVolumeMounts || slices.ContainsFunc(mounts, covers) {
		return nil
	}
	var directories, hidden []string
	for _, mount := range mounts {
		dir := absolute(mount.MountPath)
		at := slices.IndexFunc(runtime.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		served := at >= 0 && servesFiles(runtime.Spec.Volumes[at]) && !v1alpha1.ReservedVolume(mount.Name) &&
			dir == mount.MountPath && !workersOwn(dir)
		if served {
			directories = append(directories, dir)
		} else {
			hidden = append(hidden, dir)
		}
	}
	directories = slices.DeleteFunc(directories, func(dir string) bool {
		return slices.ContainsFunc(hidden, func(h string) bool { return v1alpha1.Nested(dir, h) })
	})
	slices.Sort(directories)
	return slices.Compact(directories)
}

// absolute returns the directory of a mount path, as the kubelet resolves it: a relative
// path is one below the root.
func absolute(mountPath string) string { return path.Clean("/" + mountPath) }

func servesFiles(v corev1.Volume) bool {
	return v.Secret == nil && v.ConfigMap == nil && v.DownwardAPI == nil && v.Projected == nil
}

// workersOwn reports whether a directory overlaps one of the worker's own.
func workersOwn(dir string) bool {
	own := func(o string) bool { return v1alpha1.Nested(dir, o) }
	return v1alpha1.ReservedDirectory(dir) != "" || slices.ContainsFunc([]string{"/var/lib/jindo", "/var/cache/jindo"}, own)
}

// coversOwn reports whether a directory is, contains or is in one that the worker's own
// volumes and programs are in.
func coversOwn(dir string) bool {
	own := func(o string) bool { return v1alpha1.Nested(dir, o) }
	return slices.ContainsFunc([]string{"/etc/jindo", "/run/jindo", "/var/lib/jindo", "/var/cache/jindo", "/usr/local/bin"}, own)
}

// DirectoryProblem returns why a mount point that is a directory is not served on
// Kubernetes, and what to write; "" if it is served or is not a directory.
func DirectoryProblem(runtime *v1alpha1.JindoRuntime, mountPoint string) string {
	scheme, rest, _ := strings.Cut(mountPoint, "://")
	if scheme = strings.ToLower(scheme); scheme != "local" && scheme != "file" {
		return ""
	}
	dir := path.Clean("/" + strings.TrimPrefix(rest, "/"))
	served := func(d string) bool { return dir == d || strings.HasPrefix(dir, d+"/") }
	if !runtime.Spec.Worker.Disabled && slices.ContainsFunc(Directories(runtime), served) {
		return ""
	}
	return fmt.Sprintf("%s:// is served on Kubernetes only from a volume that JindoRuntime %q declares for its workers, and none contains %s: add the volume (such as nfs or persistentVolumeClaim) to spec.volumes and mount it at %s in spec.worker.volumeMounts",
		scheme, runtime.Name, dir, dir)
}
