// Package schematest holds the kinds that commands print for machines to what
// they promise: each field is documented, and none goes away or changes its type
// unnoticed. The JSON schema is made from the Go type and its comments, and
// compared with a file that a person has reviewed.
package schematest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/test/cli/golden"
)

// apiVersion of every report. It is written here once more, so that it does not
// change by one edit.
const apiVersion = "cli.jindo.io/v1alpha1"

// Compare the schema of an object, as a command makes it, with
// testdata/schema/<kind>.json.
func Compare(t *testing.T, update bool, kind string, made runtime.Object) {
	t.Helper()
	raw, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	var meta struct{ APIVersion, Kind string }
	if err := json.Unmarshal(raw, &meta); err != nil || meta.APIVersion != apiVersion || meta.Kind != kind {
		t.Errorf("it is printed as a %q of %q, error %v; want a %s of %s", meta.Kind, meta.APIVersion, err, kind, apiVersion)
	}
	s := newSchema()
	root, err := s.of(made, kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range s.undocumented {
		t.Errorf("%s has no comment that says what it is", field)
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, update, filepath.Join("schema", kind+".json"), fmt.Sprintf("%s\n", text))
}
