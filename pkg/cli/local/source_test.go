package local

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/local"
)

// leave writes the state of a run whose supervisor was killed.
func leave(t *testing.T, root, namespace, name, dataset string) {
	t.Helper()
	dir := filepath.Join(root, namespace, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(local.State{Version: 1, Namespace: namespace, Runtime: name, Dataset: dataset, Notices: []string{"bind it"}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{"lock": nil, "state.json": raw} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKilledRuntimes(t *testing.T) {
	root := t.TempDir()
	source := NewSource(root, time.Second)
	if refs, err := source.Runtimes(t.Context(), ""); err != nil || len(refs) != 0 {
		t.Errorf("no runtimes: got %v, error %v", refs, err)
	}
	leave(t, root, "default", "hadoop", "hbase")
	leave(t, root, "vision", "lonely", "")
	// A stopped runtime has no state and is not reported.
	if err := os.MkdirAll(filepath.Join(root, "default", "stopped"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "default", "stopped", "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string][]report.Ref{
		"":        {{Namespace: "default", Name: "hadoop", Dataset: "hbase"}, {Namespace: "vision", Name: "lonely"}},
		"default": {{Namespace: "default", Name: "hadoop", Dataset: "hbase"}},
		"other":   nil,
	} {
		refs, err := source.Runtimes(t.Context(), namespace)
		if err != nil || len(refs) != len(want) {
			t.Fatalf("namespace %q: got %v, error %v, want %v", namespace, refs, err, want)
		}
		for i := range want {
			if refs[i] != want[i] {
				t.Errorf("namespace %q: got %v, want %v", namespace, refs[i], want[i])
			}
		}
	}
	r, err := source.Collect(t.Context(), report.Ref{Namespace: "default", Name: "hadoop"})
	if err != nil || r.Health != report.Stopped || r.Dataset.Name != "hbase" || len(r.Problems) != 1 {
		t.Errorf("got %+v, error %v", r, err)
	}
	r, err = source.Collect(t.Context(), report.Ref{Namespace: "vision", Name: "lonely"})
	if err != nil || r.Dataset.Phase != "NotBound" || r.Dataset.Message != "bind it" {
		t.Errorf("got %+v, error %v", r, err)
	}
}

func TestUnreadableState(t *testing.T) {
	root := t.TempDir()
	leave(t, root, "default", "hadoop", "")
	if err := os.WriteFile(filepath.Join(root, "default", "hadoop", "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := NewSource(root, time.Second)
	if _, err := source.Runtimes(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	if _, err := source.Collect(t.Context(), report.Ref{Namespace: "default", Name: "hadoop"}); err == nil {
		t.Error("no error")
	}
}
