package inject

import (
	"testing"

	"github.com/jindo-io/jindo/test/cli/schematest"
)

// TestSchemas compares the JSON schemas of the reports with the committed ones.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, ReportKind, newReport("vision", "train", "deployment/train"))
	schematest.Compare(t, *update, ReportListKind, newList(nil))
}
