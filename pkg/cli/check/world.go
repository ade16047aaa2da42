package check

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// world is what the checkers look at.
type world struct {
	session *session.Session
	cluster *session.Cluster
	// namespace to work in, and the Dataset that was asked about.
	namespace, dataset string
	now                func() time.Time
	// collect asks the members of the runtime.
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

func newWorld(s *session.Session, c *session.Cluster, dataset string) *world {
	return &world{
		session: s, cluster: c, namespace: c.Namespace, dataset: dataset, now: time.Now,
		deadline: deadline, whole: whole, grace: time.Second,
	}
}

// nodeList asks once for all checkers.
func (w *world) nodeList(ctx context.Context) ([]corev1.Node, error) {
	w.nodesOnce.Do(func() {
		var list corev1.NodeList
		w.nodesErr = w.cluster.List(ctx, &list)
		w.nodes = list.Items
	})
	return w.nodes, w.nodesErr
}

// answers of the members, asked once for all checkers.
func (w *world) answers(ctx context.Context) (*report.Runtime, error) {
	w.membersOnce.Do(func() { w.members, w.membersErr = w.collect(ctx) })
	return w.members, w.membersErr
}
