package report_test

import (
	"flag"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, report.RuntimeKind, report.New(report.Ref{}, time.Unix(0, 0)))
	schematest.Compare(t, *update, report.RuntimeListKind, report.NewList(nil))
}
