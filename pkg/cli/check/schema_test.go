package check

import (
	"testing"
	"time"

	"github.com/jindo-io/jindo/test/cli/schematest"
)

// TestSchemas checks that the JSON output does not change unnoticed.
func TestSchemas(t *testing.T) {
	example := newReport(time.Unix(0, 0), []Result{{Category: "kubernetes", Name: "nodes", State: Passed, Message: "3 nodes", Seconds: 0.5}})
	schematest.Compare(t, *update, CheckReportKind, newReport(time.Unix(0, 0), nil), example)
}
