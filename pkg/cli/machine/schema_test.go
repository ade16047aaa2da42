package machine

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/golden"
	"github.com/jindo-io/jindo/pkg/cli/schematest"
)

var update = golden.Flag()

// TestSchema: what machines read does not change unnoticed.
func TestSchema(t *testing.T) {
	schematest.Compare(t, *update, ProcessListKind, newProcessList())
}
