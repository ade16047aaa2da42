package version

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/golden"
	"github.com/jindo-io/jindo/pkg/cli/schematest"
)

var update = golden.Flag()

// TestSchemas: what machines read does not change unnoticed.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, Kind, client())
}
