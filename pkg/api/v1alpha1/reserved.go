package v1alpha1

import (
	"path"
	"strings"
)

// reservedDirectories returns directories of a node that belong to the system, the
// kubelet, container runtimes and other node agents, or that every user may write.
// A component that creates or removes files there as root could change the node, or
// be led elsewhere by a symbolic link.
func reservedDirectories() []string {
	return []string{
		"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin", "/sys",
		"/tmp", "/usr", "/opt/cni", "/home/kubernetes", "/runtime-mnt",
		"/var/run", "/var/tmp", "/var/log", "/var/spool", "/var/snap",
		"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/dockershim",
		"/var/lib/cri-dockerd", "/var/lib/crio", "/var/lib/cni", "/var/lib/calico", "/var/lib/cilium", "/var/lib/etcd",
		"/var/lib/kube-proxy", "/var/lib/rancher", "/var/lib/k0s", "/var/lib/lxc", "/var/lib/systemd",
	}
}

// ReservedDirectory returns the reserved directory of a node that equals, contains
// or is contained in a directory, or "" if there is none. A directory that contains
// a reserved one is no safer than one inside it. Letters are compared without their
// case, because a file system may ignore it.
func ReservedDirectory(directory string) string {
	directory = strings.ToLower(path.Clean("/" + directory))
	for _, reserved := range reservedDirectories() {
		if Nested(directory, reserved) {
			return reserved
		}
	}
	return ""
}

// Nested reports whether two clean absolute directories are equal, or one of them
// contains the other.
func Nested(a, b string) bool { return a == b || inside(a, b) || inside(b, a) }
