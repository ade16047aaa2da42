package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/authority"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// drainTimeout is the timeout of the requests that begin the drain of all workers.
	drainTimeout = 20 * time.Second
	// drainMargin is the part of a pod's grace period in which a worker ends.
	drainMargin = 15 * time.Second
)

// Drainer makes a worker leave: see Cache.Drain of package workerv1. timeout is that
// from its termination on.
type Drainer func(ctx context.Context, worker *commonv1.RingMember, identity *mtls.Identity, timeout time.Duration) error

// drains makes workers leave before Kubernetes is requested to remove their pods, so that
// they move their caches to the others in the grace periods of their pods. A worker that
// cannot be reached is removed all the same: its cache is read from the store again.
//
// Input: the desired state, the authority and the workloads. Output: workers that leave,
// a ring without them, and which of them move their caches.
type drains struct {
	workloads   workloadReader
	connections *connections
	drain       Drainer
}

// drained are the workers that are about to be removed.
type drained struct {
	// moving have begun to move their caches, failed could not.
	moving, failed []string
}

func (d drains) reconcile(ctx context.Context, r *report, want *desired, ca *mtls.Authority) (drained, error) {
	leaving, err := d.leaving(ctx, want)
	if err != nil || len(leaving) == 0 {
		return drained{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	masters, ring, identity, err := d.connect(ctx, r, want, ca)
	var out drained
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, pod := range leaving {
		group.Go(func() {
			err := err
			if err == nil {
				err = d.drainOne(ctx, masters, ring, identity, pod)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.failed = append(out.failed, fmt.Sprintf("%s: %s", pod.Name, errorMessage(err)))
				return
			}
			out.moving = append(out.moving, pod.Name)
		})
	}
	group.Wait()
	slices.Sort(out.moving)
	slices.Sort(out.failed)
	return out, nil
}

// leaving returns the pods of the workers that are about to be removed; none while no
// worker would remain.
func (d drains) leaving(ctx context.Context, want *desired) ([]corev1.Pod, error) {
	if want.plan.Workers == nil || want.plan.Workers.Replicas == 0 {
		return nil, nil
	}
	set, err := d.workloads.statefulSet(ctx, want.runtime, want.plan.Workers.Name)
	if err != nil || set == nil || set.Spec.Replicas == nil || *set.Spec.Replicas <= want.plan.Workers.Replicas {
		return nil, err
	}
	pods, err := d.workloads.findPods(ctx, want.runtime)
	if err != nil {
		return nil, err
	}
	w := &workloads{workers: set, pods: pods}
	return slices.DeleteFunc(w.owned(plan.RoleWorker), func(pod corev1.Pod) bool {
		_, stays := want.topology.Worker(pod.Name)
		return stays || !pod.DeletionTimestamp.IsZero()
	}), nil
}

func (d drains) connect(ctx context.Context, r *report, want *desired, ca *mtls.Authority) (Masters, *commonv1.Ring, *mtls.Identity, error) {
	masters, err := d.connections.get(r.runtime.UID, runningMasters(want), ca)
	if err != nil {
		return nil, nil, nil, err
	}
	view, err := masters.View(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	identity, err := authority.Identity(ca, "jindoruntime-controller")
	return masters, view.GetRing(), identity, err
}

// drainOne makes one worker leave, and removes it from the ring.
func (d drains) drainOne(ctx context.Context, masters Masters, ring *commonv1.Ring, identity *mtls.Identity, pod corev1.Pod) error {
	at := slices.IndexFunc(ring.GetMembers(), func(m *commonv1.RingMember) bool { return m.GetName() == pod.Name })
	if at < 0 {
		return errors.New("it is not in the ring")
	}
	grace := 30 * time.Second
	if seconds := pod.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if err := d.drain(ctx, ring.GetMembers()[at], identity, max(grace-drainMargin, 0)); err != nil {
		return err
	}
	return masters.RemoveWorker(ctx, pod.Name)
}

// drainWorker is the default Drainer.
func drainWorker(ctx context.Context, worker *commonv1.RingMember, identity *mtls.Identity, timeout time.Duration) (err error) {
	address := net.JoinHostPort(worker.GetHost(), strconv.FormatUint(uint64(worker.GetPort()), 10))
	conn, err := identity.Dial(address, mtls.Worker, worker.GetName())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := workerv1.NewCacheClient(conn).Drain(ctx, &workerv1.DrainRequest{Timeout: durationpb.New(timeout)}); err != nil {
		return fmt.Errorf("drain worker %s: %w", worker.GetName(), err)
	}
	return nil
}

// message describes what becomes of the caches; empty without a worker.
func (d drained) message() string {
	var parts []string
	if len(d.moving) > 0 {
		parts = append(parts, fmt.Sprintf("the caches of %s are moved to the others while their pods terminate", strings.Join(d.moving, ", ")))
	}
	if len(d.failed) > 0 {
		parts = append(parts, fmt.Sprintf("caches that are not moved, of which the data is read from the store again: %s", strings.Join(d.failed, "; ")))
	}
	return strings.Join(parts, "; ")
}

// runningMasters returns the topology with all masters that run.
func runningMasters(want *desired) topology.Topology {
	members := want.topology
	members.Masters = render.Masters(want.plan, want.topology.ClusterID)
	return members
}
