package local

import (
	"testing"

	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = golden.Flag()

// TestSchema: what machines read does not change unnoticed.
func TestSchema(t *testing.T) {
	schematest.Compare(t, *update, ProcessListKind, newProcessList())
}
