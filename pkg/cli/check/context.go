package check

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// checkContext is what checks share: the cluster, and objects that several of them
// read.
type checkContext struct {
	session *session.Session
	cluster *session.Cluster
	// namespace to check, and the Dataset to check, or "".
	namespace, dataset string
	now                func() time.Time
	// collect returns the report of the Dataset's runtime with its members' own views.
	collect func(ctx context.Context) (*report.Runtime, error)

	deadline, whole, grace time.Duration

	nodesOnce sync.Once
	nodes     []corev1.Node
	nodesErr  error

	membersOnce sync.Once
	members     *report.Runtime
	membersErr  error

	pairOnce sync.Once
	pair     pair
}

func newContext(s *session.Session, c *session.Cluster, dataset string) *checkContext {
	return &checkContext{
		session: s, cluster: c, namespace: c.Namespace, dataset: dataset, now: time.Now,
		deadline: deadline, whole: whole, grace: time.Second,
	}
}

// nodeList lists the nodes, once for all checks.
func (w *checkContext) nodeList(ctx context.Context) ([]corev1.Node, error) {
	w.nodesOnce.Do(func() {
		var list corev1.NodeList
		w.nodesErr = w.cluster.List(ctx, &list)
		w.nodes = list.Items
	})
	return w.nodes, w.nodesErr
}

// runtimeReport collects the report of the runtime, once for all checks.
func (w *checkContext) runtimeReport(ctx context.Context) (*report.Runtime, error) {
	w.membersOnce.Do(func() { w.members, w.membersErr = w.collect(ctx) })
	return w.members, w.membersErr
}
