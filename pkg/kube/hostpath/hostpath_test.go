package hostpath_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"k8s.io/pod-security-admission/api"

	"github.com/jindo-io/jindo/pkg/kube/hostpath"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		value, kubelet string
		want           string // roots, or part of the error after "!"
	}{
		{"", "", "/mnt/disk1,/mnt/disk2,/mnt/disk3"},
		{" none ", "", "none"},
		{"/data/cache", "", "/data/cache"},
		{" /a/ , /b// ,/a", "", "/a,/b"},
		{"/opt/cache,/srv", "", "/opt/cache,/srv"},

		{"/", "", "!clean absolute"},
		{"//", "", "!clean absolute"},
		{",", "", "!clean absolute"},
		{"/a,,/b", "", "!clean absolute"},
		{"a", "", "!clean absolute"},
		{"/a//b", "", "!clean absolute"},
		{"/a/../etc", "", "!clean absolute"},
		{"/a/./b", "", "!clean absolute"},
		{"/a b", "", "!clean absolute"},
		{"/a\u200b", "", "!clean absolute"},
		{"/m\u00fcll", "", "!clean absolute"},
		{"/a\n", "", "/a"},
		{"/a\nb", "", "!clean absolute"},
		{"/mnt/$HOME", "", "!clean absolute"},

		{"/etc", "", "!/etc belongs to the system"},
		{"/etc/jindo", "", "!/etc belongs to the system"},
		{"/ETC/jindo", "", "!/etc belongs to the system"},
		{"/var", "", "!belongs to the system"},
		{"/var/lib", "", "!belongs to the system"},
		{"/var/lib/kubelet", "", "!/var/lib/kubelet belongs"},
		{"/var/lib/kubelet/pods", "", "!/var/lib/kubelet belongs"},
		{"/var/lib/docker/jindo", "", "!/var/lib/docker belongs"},
		{"/run/containerd", "", "!/run belongs"},
		{"/var/run", "", "!/var/run belongs"},
		{"/tmp/cache", "", "!/tmp belongs"},
		{"/dev/shm", "", "!/dev belongs"},
		{"/proc/1/root/mnt", "", "!/proc belongs"},
		{"/mnt/disk1,/proc", "", "!/proc belongs"},
		{"/data/kubelet/pods", "/data/kubelet/", "!directory of the kubelet"},
		{"/data", "/data/kubelet", "!directory of the kubelet"},
		{"/Data/Kubelet", "/data/kubelet", "!directory of the kubelet"},
		{"/data/cache", "/data/kubelet", "/data/cache"},
		{"/mnt,/mnt/disk1", "", "!contain each other"},
		{"/mnt/disk1/a,/mnt/disk1", "", "!contain each other"},
	} {
		policy, err := hostpath.Parse(test.value, test.kubelet)
		want, isError := strings.CutPrefix(test.want, "!")
		switch {
		case isError && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("Parse(%q, %q): got %v, error %v, want an error with %q", test.value, test.kubelet, policy, err, want)
		case !isError && (err != nil || policy.String() != want):
			t.Errorf("Parse(%q, %q): got %v, error %v, want %s", test.value, test.kubelet, policy, err, want)
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	policy, err := hostpath.Parse(hostpath.Default, "/var/lib/kubelet")
	if err != nil || !slices.Equal(policy.Roots(), (hostpath.Policy{}).Roots()) {
		t.Errorf("got %v, error %v, want the roots of the zero value, %v", policy, err, hostpath.Policy{})
	}
}

func TestCheck(t *testing.T) {
	policy, err := hostpath.Parse("/mnt/disk1,/Cache", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []string{"/mnt/disk1", "/Cache"} {
		if err := policy.Check(allowed); err != nil {
			t.Error(err)
		}
	}
	for _, refused := range []string{
		"", "/", "/mnt", "/mnt/disk1/", "/mnt/disk1/a", "/mnt/disk10", "/mnt/disk2", "//mnt/disk1", "/mnt//disk1", "/mnt/./disk1",
		"/mnt/disk1/../disk1", "mnt/disk1", "/MNT/disk1", "/cache", "/mnt/disk1 ", " /mnt/disk1", "/mnt/disk1,/mnt/disk2", "/mnt/disk1\u200b",
		"/mnt/d\u0456sk1", "/mnt/disk1\x00", "/mnt/disk\xff", "\uff0fmnt\uff0fdisk1",
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/v", "/etc", "/proc/1/root/mnt", strings.Repeat("/a", 4096),
	} {
		err := policy.Check(refused)
		if !errors.Is(err, hostpath.ErrRefused) {
			t.Errorf("%q is allowed: %v", refused, err)
			continue
		}
		for _, part := range []string{"/mnt/disk1, /Cache", "volumeType: emptyDir"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error of %.40q does not contain %q: %v", refused, part, err)
			}
		}
		if len(err.Error()) > 1000 {
			t.Errorf("the error of %.40q has %d bytes", refused, len(err.Error()))
		}
	}
	if err := policy.Check("/srv"); !strings.Contains(err.Error(), hostpath.Setting) {
		t.Errorf("the error does not name the setting: %v", err)
	}
	if err := policy.Check("/etc/x"); !strings.Contains(err.Error(), "no setting can allow") {
		t.Errorf("the error of a system directory promises a setting: %v", err)
	}
	none, err := hostpath.Parse(hostpath.None, "")
	if err != nil || none.Check("/mnt/disk1") == nil {
		t.Errorf("%q allows a directory, error %v", hostpath.None, err)
	}
}

func TestCheckNamespace(t *testing.T) {
	const label = api.EnforceLevelLabel
	for level, allowed := range map[string]bool{"": false, "privileged": true, "baseline": false, "restricted": false, "Privileged": false, "unknown": false} {
		err := hostpath.CheckNamespace("team", map[string]string{label: level})
		if (err == nil) != allowed {
			t.Errorf("level %q: %v", level, err)
		}
		if err != nil && (!errors.Is(err, hostpath.ErrPodSecurity) || !strings.Contains(err.Error(), "volumeType: emptyDir")) {
			t.Errorf("level %q: %v", level, err)
		}
	}
	if err := hostpath.CheckNamespace("team", map[string]string{"pod-security.kubernetes.io/warn": "restricted"}); err != nil {
		t.Errorf("a level that is not enforced: %v", err)
	}
}
