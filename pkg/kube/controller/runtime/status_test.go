package runtime_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// A store that refuses costs one write of the status and one event, whatever the ids of
// the requests that workers of earlier versions report.
func TestRefusingStoreIsReportedOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	refuse := func(request int) {
		c.report(ns, 1<<30, 10, 4<<30, fmt.Sprintf("listing oss://a/: access key id \"LTAI\" lacks the right oss:ListObjects (403 AccessDenied, request R%d)", request))
		c.triggerReconcile(t, ns)
	}
	refuse(0)
	first := c.status(t, ns, "hadoop", func(s *v1alpha1.RuntimeStatus) error {
		return checkCondition(s, v1alpha1.RuntimeMountsReady, corev1.ConditionFalse, "lacks the right oss:ListObjects (403 AccessDenied)")
	})
	if message := condition(&first.Status, v1alpha1.RuntimeMountsReady).Message; strings.Contains(message, "LTAI") {
		t.Errorf("the message contains the id of the access key: %s", message)
	}
	before := c.settle(t, ns)
	for i := range 3 {
		refuse(i + 1)
	}
	if after, _ := c.counts.of(ns); after != before {
		t.Errorf("%d writes after the first, want none", after-before)
	}
	eventually(t, func() error {
		if n := len(c.events(t, ns, "StoreRefuses")); n != 1 {
			return fmt.Errorf("%d events, want 1", n)
		}
		return nil
	})
}

// settle waits until passes write nothing, also none that read an older status from the
// cache, and returns the number of writes.
func (c *cluster) settle(t *testing.T, ns string) int {
	t.Helper()
	settled := 0
	eventually(t, func() error {
		before, _ := c.counts.of(ns)
		c.triggerReconcile(t, ns)
		if settled, _ = c.counts.of(ns); settled != before {
			return fmt.Errorf("%d writes", settled-before)
		}
		return nil
	})
	return settled
}
