package tree

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

// TestSchemas compares the machine-readable output with its schema.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, ListKind, newList([]Report{}))
	schematest.Compare(t, *update, Kind, BuildTree(&inventory.Inventory{}, &v1alpha1.Dataset{}))
}
