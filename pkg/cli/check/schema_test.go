package check

import (
	"testing"
	"time"

	"github.com/jindo-io/jindo/test/cli/schematest"
)

// TestSchemas: what machines read does not change unnoticed.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, CheckReportKind, newReport(time.Unix(0, 0), nil))
}
