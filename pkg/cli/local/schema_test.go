package local

import (
	"testing"

	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = golden.Flag()

// TestSchema compares the JSON output with its recorded schema.
func TestSchema(t *testing.T) {
	schematest.Compare(t, *update, ProcessListKind, newProcessList())
}
