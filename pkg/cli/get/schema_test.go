package get

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/schematest"
)

var update = golden.Flag()

// TestSchemas: what machines read does not change unnoticed.
func TestSchemas(t *testing.T) {
	schematest.Compare(t, *update, MountKind, mountReport(inventory.Use{Pod: &corev1.Pod{}}))
	schematest.Compare(t, *update, MountListKind, withItems(&listing{list: &MountReportList{}}))
	schematest.Compare(t, *update, WorkerKind, workerReport(&corev1.Pod{}))
	schematest.Compare(t, *update, WorkerListKind, withItems(&listing{list: &WorkerReportList{}}))
}
