package tree

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

// TestSchemas: what machines read does not change unnoticed.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, Kind, Grow(&inventory.Inventory{}, &v1alpha1.Dataset{}))
}
