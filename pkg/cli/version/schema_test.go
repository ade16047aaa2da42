package version

import (
	"testing"

	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = golden.Flag()

// TestSchemas checks that the JSON output does not change unnoticed.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, Kind, client(), client())
}
