package get

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = golden.Flag()

// TestSchemas compares the machine-readable output with its schema.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, MountKind, mountReport(inventory.Use{Pod: &corev1.Pod{}}))
	schematest.Compare(t, *update, MountListKind, list(t, &listing{list: &MountReportList{}}))
	schematest.Compare(t, *update, WorkerKind, workerReport(&corev1.Pod{}))
	schematest.Compare(t, *update, WorkerListKind, list(t, &listing{list: &WorkerReportList{}}))
}

func list(t *testing.T, found *listing) runtime.Object {
	t.Helper()
	l, err := toList(found)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
