package v1alpha1

import (
	"strings"
	"testing"
)

func TestReservedDirectory(t *testing.T) {
	for directory, want := range map[string]string{
		"/mnt/disk1": "", "/srv": "", "/data": "", "/opt/cache": "", "/var/lib/jindo": "", "/binary": "", "/mnt/etc": "",
		"/etc": "/etc", "/etc/": "/etc", "//etc": "/etc", "/etc/x/../y": "/etc", "/mnt/../etc": "/etc", "etc": "/etc", "/ETC": "/etc",
		"/": "/bin", "": "/bin", "/var": "/var/run", "/opt": "/opt/cni",
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/v": "/var/lib/kubelet",
		"/proc/1/root/mnt": "/proc", "/run/containerd": "/run", "/var/lib/docker/jindo": "/var/lib/docker",
	} {
		if got := ReservedDirectory(directory); got != want {
			t.Errorf("ReservedDirectory(%q) = %q, want %q", directory, got, want)
		}
	}
}

// A tier in a directory of the node's system has a warning, unless it is in memory or
// in an emptyDir.
func TestReservedTiers(t *testing.T) {
	for fields, warned := range map[string]bool{
		"mediumtype: SSD, path: /mnt/disk1":                        false,
		"mediumtype: SSD, path: /etc":                              true,
		"mediumtype: HDD, path: '/mnt/disk1,/var/lib/kubelet/pki'": true,
		"mediumtype: SSD, path: /var/run":                          true,
		"mediumtype: SSD, path: /etc, volumeType: emptyDir":        false,
		"mediumtype: MEM, path: /dev/shm":                          false,
	} {
		objects, err := Decode([]byte("apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: a}\nspec: {tieredstore: {levels: [{quota: 10Gi, " + fields + "}]}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		errs, warnings := Validate(objects[0])
		if got := strings.Contains(strings.Join(warnings, "\n"), "belongs to the system of the node"); got != warned || len(errs) > 0 {
			t.Errorf("%s: warnings %q, errors %v", fields, warnings, errs)
		}
	}
}

// A volume must not have the name of one of the component's own.
func TestReservedVolumeNames(t *testing.T) {
	for name, valid := range map[string]bool{"nas": true, "tiers": true, "credentials": false, "tls": false, "config": false, "data": false, "sockets": false, "tier-0": false} {
		for _, component := range []string{"master", "worker"} {
			objects, err := Decode([]byte("apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: a}\nspec: {volumes: [{name: " + name + ", emptyDir: {}}], " +
				component + ": {volumeMounts: [{name: " + name + ", mountPath: /mnt/nas}]}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			errs, _ := Validate(objects[0])
			if (len(errs) == 0) != valid || !valid && !strings.Contains(errs.ToAggregate().Error(), "reserved for a volume of the component") {
				t.Errorf("volume %s of %s: %v", name, component, errs)
			}
		}
	}
}
