package names_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestScopesOfContract checks the names that users of Fluid rely on.
func TestScopesOfContract(t *testing.T) {
	t.Parallel()
	s := names.ScopeOf("default", "hbase", "")
	for got, want := range map[string]string{
		s.Volume(): "default-hbase", s.MasterVolume(2): "default-hbase-jindofs-master-2", s.DatasetID(): "default-hbase",
		s.FuseNodeLabel(): "fluid.io/f-default-hbase", s.CacheNodeLabel(): "fluid.io/s-default-hbase",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}

// TestScopesDiffer checks that scopes with digests share nothing with those without, and
// that labels fit, also for the longest names.
func TestScopesDiffer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 63)
	all := []names.Scope{}
	for _, of := range [][2]string{
		{"a", "b-c"}, {"a-b", "c"}, {long, "r"}, {long[:62], "n-r"}, {long, strings.Repeat("r", 60)}, {long, strings.Repeat("r", 59)},
	} {
		expected := names.ScopeOf(of[0], of[1], "")
		all = append(all, expected.Distinct(0), expected.Distinct(1))
		if of != [2]string{"a-b", "c"} {
			all = append(all, expected)
		}
	}
	for i, a := range all {
		for _, label := range []string{a.FuseNodeLabel(), a.CacheNodeLabel(), names.LabelDatasetID} {
			if problems := validation.IsQualifiedName(label); len(problems) > 0 {
				t.Errorf("label %q: %v", label, problems)
			}
		}
		if problems := validation.IsValidLabelValue(a.DatasetID()); len(problems) > 0 {
			t.Errorf("value %q: %v", a.DatasetID(), problems)
		}
		if problems := validation.IsDNS1123Subdomain(a.MasterVolume(2)); len(problems) > 0 {
			t.Errorf("name %q: %v", a.MasterVolume(2), problems)
		}
		if !a.Possible() {
			t.Errorf("%+v is not possible", a)
		}
		for _, b := range all[:i] {
			if a.Namespace+"/"+a.Object != b.Namespace+"/"+b.Object && a.Overlaps(b) {
				t.Errorf("%+v and %+v share a name", a, b)
			}
		}
	}
	if a, b := names.ScopeOf("a", "b-c", ""), names.ScopeOf("a-b", "c", ""); !a.Overlaps(b) {
		t.Errorf("%+v and %+v share no name", a, b)
	}
}

func TestForeignScopesAreImpossible(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a-b-", "a-b-x", "a-b-0123456789abcdeg", "a-b-0123456789abcdef0", "b-c", "a-bc"} {
		if names.ScopeOf("a", "b", name).Possible() {
			t.Errorf("%q is a name of a/b", name)
		}
	}
}

func TestNamedAsMasterVolume(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a-b-jindofs-master-0": true, "a-b-jindofs-master-12": true, "a-b-jindofs-master": false, "a-b-jindofs-master-x": false, "a-b": false, "a-b-0": false,
	} {
		if got := names.ScopeOf("", "", name).NamedAsMasterVolume(); got != want {
			t.Errorf("%s is named as the volume of a master: %v, want %v", name, got, want)
		}
	}
}
