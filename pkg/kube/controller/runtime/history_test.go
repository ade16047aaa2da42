package runtime

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// The history has the last valid specs, each once, and neither grows with an autoscaler
// nor beyond its bounds.
func TestHistory(t *testing.T) {
	runtime := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
	edit := func(change func(*v1alpha1.JindoRuntimeSpec)) {
		change(&runtime.Spec)
		runtime.Generation++
		r := newReport(runtime, time.Unix(runtime.Generation, 0))
		recordSpec(r)
		recordSpec(r)
		runtime.Status = *r.status
	}
	check := func(want ...int64) {
		t.Helper()
		var got []int64
		for _, revision := range runtime.Status.History {
			got = append(got, revision.Generation)
			if revision.Time.Unix() != revision.Generation {
				t.Errorf("revision %d is of %v", revision.Generation, revision.Time)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("revisions %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("revisions %v, want %v", got, want)
			}
		}
	}
	edit(func(*v1alpha1.JindoRuntimeSpec) {})
	check(2)
	edit(func(s *v1alpha1.JindoRuntimeSpec) { s.Replicas = new(int32(7)) })
	check(2)
	edit(func(s *v1alpha1.JindoRuntimeSpec) { s.Fuse.ImageTag = "v2" })
	check(2, 4)
	edit(func(s *v1alpha1.JindoRuntimeSpec) { s.Fuse.ImageTag = "" }) // back
	check(2, 4, 5)
	for _, tag := range []string{"a", "b", "c"} {
		edit(func(s *v1alpha1.JindoRuntimeSpec) { s.Fuse.ImageTag = tag })
	}
	check(4, 5, 6, 7, 8)
	large := strings.Repeat("x", maxHistoryBytes)
	edit(func(s *v1alpha1.JindoRuntimeSpec) { s.Fuse.Env = map[string]string{"A": large} })
	check(5, 6, 7, 8, 9)
	edit(func(s *v1alpha1.JindoRuntimeSpec) { s.Fuse.Env = nil })
	check(10)
}
