package report_test

import (
	"flag"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/test/cli/reporttest"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestSchemas(t *testing.T) {
	reports := []*report.Runtime{reporttest.Healthy(), reporttest.Degraded(), reporttest.Unbound(), reporttest.Leaderless()}
	var examples []runtime.Object
	var items []report.Runtime
	for _, r := range reports {
		examples, items = append(examples, r), append(items, *r)
	}
	schematest.Compare(t, *update, report.RuntimeKind, report.New(report.Ref{}, time.Unix(0, 0)), examples...)
	schematest.Compare(t, *update, report.RuntimeListKind, report.NewList(nil), report.NewList(items))
}
