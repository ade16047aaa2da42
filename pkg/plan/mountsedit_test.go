package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// used is the progress of a runtime whose Dataset a pod uses.
func used() Progress {
	p := running()
	p.Users = func(dataset string) (string, error) { return "pod reader mounts " + dataset, nil }
	p.RefInUse = func(string) bool { return true }
	return p
}

// mountsOf returns the mounts of an effective spec: PATH=MOUNTPOINT@ENDPOINT.
func mountsOf(e *v1alpha1.EffectiveSpec) string {
	var all []string
	for _, m := range e.Dataset.Spec.Mounts {
		all = append(all, fmt.Sprintf("%s=%s@%s", m.Path, m.MountPoint, strings.TrimPrefix(m.Options["fs.s3.endpoint"], "http://")))
	}
	return strings.Join(all, " ")
}

// TestMountsOfABoundDataset: mounts are added and their options changed at once; what
// takes files away waits for the pods that use the Dataset, and only that.
func TestMountsOfABoundDataset(t *testing.T) {
	const before = "/a=s3://a/@one /b=s3://b/@one"
	c := v1alpha1.Mount{Name: "c", Path: "/c", MountPoint: "s3://c/"}
	for _, test := range []struct {
		name string
		edit func(spec *v1alpha1.DatasetSpec)
		// used and unused are the mounts while pods use the Dataset and afterwards.
		used, unused string
		message      string
	}{
		{"endpoint of all", func(s *v1alpha1.DatasetSpec) { s.SharedOptions["fs.s3.endpoint"] = "http://two" }, "/a=s3://a/@two /b=s3://b/@two", "/a=s3://a/@two /b=s3://b/@two", ""},
		{"another mount", func(s *v1alpha1.DatasetSpec) { s.Mounts = append(s.Mounts, c) }, before + " /c=s3://c/@one", before + " /c=s3://c/@one", ""},
		{"a mount less", func(s *v1alpha1.DatasetSpec) { s.Mounts = s.Mounts[:1] }, before, "/a=s3://a/@one", "mount b remains s3://b/ at /b until no pod uses Dataset d: pod reader mounts d"},
		{"another store", func(s *v1alpha1.DatasetSpec) { s.Mounts[1].MountPoint = "s3://c/" }, before, "/a=s3://a/@one /b=s3://c/@one", "mount b remains s3://b/ at /b"},
		{"another path", func(s *v1alpha1.DatasetSpec) { s.Mounts[1].Path = "/c" }, before, "/a=s3://a/@one /c=s3://b/@one", "mount b is not added at /c while there is a mount at /b"},
		{"below another", func(s *v1alpha1.DatasetSpec) { c := c; c.Path = "/b/c"; s.Mounts[1] = c }, before, "/a=s3://a/@one /b/c=s3://c/@one", "mount c is not added at /b/c while there is a mount at /b"},
		{"above another", func(s *v1alpha1.DatasetSpec) { c := c; c.Path = "/"; s.Mounts = []v1alpha1.Mount{c} }, before, "/=s3://c/@one", "mount c is not added at / while there is a mount at"},
		{"the name of another", func(s *v1alpha1.DatasetSpec) { s.Mounts[0].Name, s.Mounts[1].Name = "b", "a" }, before, before, "has the name b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, _ := mustNext(t, nil, declare(t, effectivePair, "v1"), Progress{})
			d := declare(t, effectivePair, "v1")
			test.edit(&d.Dataset.Spec)
			next, kept := mustNext(t, first, d, used())
			if got := mountsOf(next); got != test.used || (kept == "") != (test.message == "") || !strings.Contains(kept, test.message) {
				t.Errorf("used: %s, want %s; %s, want %s", got, test.used, kept, test.message)
			}
			if _, _, err := Restore(next, d.Runtime); err != nil {
				t.Error(err)
			}
			last, _ := mustNext(t, next, d, running())
			if got := mountsOf(last); got != test.unused {
				t.Errorf("unused: %s, want %s", got, test.unused)
			}
			checkBuilt(t, d, next)
			checkBuilt(t, d, last)
		})
	}
}

// checkBuilt checks that the plan of an effective spec is valid, and that no two mounts
// have the same credentials.
func checkBuilt(t *testing.T, d Declared, e *v1alpha1.EffectiveSpec) *Plan {
	t.Helper()
	runtime, dataset, err := Restore(e, d.Runtime)
	if err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(dataset)
	p, err := Build(dataset, runtime)
	if err != nil {
		t.Fatal(err)
	}
	p.UseCredentials(e.Dataset)
	p.Credentials = d.Unseal(p, e)
	seen := map[string]bool{}
	for _, m := range p.Mounts {
		if seen[m.SecretRef] && m.SecretRef != "" || slices.Contains(p.RetiredSecretRefs, m.SecretRef) {
			t.Errorf("mount %s has the credentials %s of another, or retired ones", m.Name, m.SecretRef)
		}
		seen[m.SecretRef] = true
	}
	return p
}

// TestStoreAndCredentialsChangeTogether: a mount whose store is edited gets credentials
// beside those in use, which stay until nothing uses them.
func TestStoreAndCredentialsChangeTogether(t *testing.T) {
	d := declare(t, effectivePair, "v1")
	first, _ := mustNext(t, nil, d, Progress{})
	d.Dataset.Spec.Mounts[1].Options["fs.s3.accessKeySecret"] = "KEY-rotated"
	if p := checkBuilt(t, d, first); literals(p)["b/fs.s3.accessKeySecret"] != "KEY-rotated" || p.CredentialsRevision != 0 {
		t.Errorf("rotated alone: %+v", p.Credentials)
	}
	d.Dataset.Spec.Mounts[1].Options["fs.s3.endpoint"], d.Dataset.Spec.Mounts[1].Options["fs.s3.accessKeySecret"] = "http://two", "KEY-two"
	// The current mount keeps its credentials until the next effective spec.
	if p := checkBuilt(t, d, first); len(literals(p)) > 0 {
		t.Errorf("before: %q", literals(p))
	}
	second, kept := mustNext(t, first, d, used())
	p := checkBuilt(t, d, second)
	if kept != "" || p.Mounts[1].SecretRef != "b-r2" || literals(p)["b-r2/fs.s3.accessKeySecret"] != "KEY-two" || p.CredentialsRevision != 2 || fmt.Sprint(p.RetiredSecretRefs) != "[b]" {
		t.Errorf("%s; mount %+v, credentials %q, revision %d, retired %v", kept, p.Mounts[1], literals(p), p.CredentialsRevision, p.RetiredSecretRefs)
	}
	if p.Mounts[0].SecretRef != "a" {
		t.Errorf("mount a has the credentials %s", p.Mounts[0].SecretRef)
	}
	if again, _ := mustNext(t, second, d, used()); again != second {
		t.Errorf("it is not stable: revision %d", again.Revision)
	}
	// A second edit before the first is carried out, then nothing uses the earlier ones.
	d.Dataset.Spec.Mounts[1].Options["fs.s3.endpoint"] = "http://three"
	third, _ := mustNext(t, second, d, used())
	if p := checkBuilt(t, d, third); p.Mounts[1].SecretRef == "b-r2" || fmt.Sprint(p.RetiredSecretRefs) != "[b b-r2]" {
		t.Errorf("edited again: %s, retired %v", p.Mounts[1].SecretRef, p.RetiredSecretRefs)
	}
	idle := used()
	idle.RefInUse = func(ref string) bool { return ref == "b-r2" }
	fourth, _ := mustNext(t, third, d, idle)
	if p := checkBuilt(t, d, fourth); fmt.Sprint(p.RetiredSecretRefs) != "[b-r2]" || p.CredentialsRevision != 3 {
		t.Errorf("retired %v, revision %d", p.RetiredSecretRefs, p.CredentialsRevision)
	}
}

// TestMountThatNeverWorkedIsReplaced: no file of it can be open.
func TestMountThatNeverWorkedIsReplaced(t *testing.T) {
	first, _ := mustNext(t, nil, declare(t, effectivePair, "v1"), Progress{})
	d := declare(t, effectivePair, "v1")
	d.Dataset.Spec.Mounts[0].MountPoint, d.Dataset.Spec.Mounts[1].MountPoint = "s3://x/", "s3://y/"
	p := used()
	p.Worked = func(path string) bool { return path == "/a" }
	if next, kept := mustNext(t, first, d, p); mountsOf(next) != "/a=s3://a/@one /b=s3://y/@one" || !strings.Contains(kept, "mount a") {
		t.Errorf("%s; %s", mountsOf(next), kept)
	}
	p.Users = func(string) (string, error) { return "", errors.New("unavailable") }
	if _, _, err := Next(first, d, p); err == nil {
		t.Error("the users are not known, and a mount is replaced")
	}
}
