package runtime_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// fakeMasters are the masters of every runtime of the test cluster, by namespace.
// They have a leader once a test sets one.
type fakeMasters struct {
	mu   sync.Mutex
	sets map[string]*fakeSet
}

// fakeSet are the masters of one runtime.
type fakeSet struct {
	topology topology.Topology
	// clusterID is that of the first topology with one.
	clusterID string
	leader    string
	term      uint64
	voters    int
	// members, if it is not nil, are the voters instead, and listed are the masters of
	// the topology that they follow.
	members, listed []string
	view            *commonv1.ClusterView
	workers         []*masterv1.WorkerState
	peers           []mtls.Peer
	mounts          int
}

func newFakeMasters() *fakeMasters { return &fakeMasters{sets: map[string]*fakeSet{}} }

func (f *fakeMasters) dial(members topology.Topology, identity *mtls.Identity) (runtime.Masters, error) {
	s := f.set(members.Namespace)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.topology = members
	s.clusterID = cmp.Or(s.clusterID, members.ClusterID)
	s.peers = append(s.peers, identity.Peer())
	return fakeClient{f, members.Namespace}, nil
}

func (f *fakeMasters) set(namespace string) *fakeSet {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sets[namespace] == nil {
		f.sets[namespace] = &fakeSet{view: &commonv1.ClusterView{}}
	}
	return f.sets[namespace]
}

// change changes a runtime's masters under the lock.
func (f *fakeMasters) change(namespace string, change func(s *fakeSet)) {
	s := f.set(namespace)
	f.mu.Lock()
	defer f.mu.Unlock()
	change(s)
}

type fakeClient struct {
	f         *fakeMasters
	namespace string
}

var errUnavailable = &client.RefusedError{Code: 14, Message: "unavailable"}

func (c fakeClient) with(do func(s *fakeSet)) {
	c.f.change(c.namespace, do)
}

func (c fakeClient) Members(context.Context) []client.MemberResult {
	var results []client.MemberResult
	c.with(func(s *fakeSet) {
		for i, m := range s.topology.Masters {
			r := client.MemberResult{Member: m, Err: errUnavailable}
			if s.leader != "" && (s.members == nil || slices.Contains(s.members, m.Name)) {
				status := &masterv1.StatusResponse{
					Name: m.Name, State: "FOLLOWER", Term: s.term, Leader: s.leader, ClusterId: s.clusterID,
					Voter: s.members != nil || i < s.voters, Ready: true, Listed: s.listed,
				}
				if m.Name == s.leader {
					status.State = "LEADER"
				}
				for j, p := range s.topology.Masters {
					if s.members == nil {
						status.Peers = append(status.Peers, &masterv1.Peer{Name: p.Name, Voter: j < s.voters})
					}
				}
				for _, name := range s.members {
					status.Peers = append(status.Peers, &masterv1.Peer{Name: name, Voter: true})
				}
				r = client.MemberResult{Member: m, Status: status}
			}
			results = append(results, r)
		}
	})
	return results
}

func (c fakeClient) ListWorkers(context.Context) ([]*masterv1.WorkerState, error) {
	var workers []*masterv1.WorkerState
	c.with(func(s *fakeSet) { workers = s.workers })
	return workers, nil
}

func (c fakeClient) View(context.Context) (*commonv1.ClusterView, error) {
	var view *commonv1.ClusterView
	c.with(func(s *fakeSet) { view = s.view })
	return view, nil
}

func (c fakeClient) Mount(_ context.Context, m *commonv1.Mount) (*commonv1.Mount, bool, error) {
	var err error
	c.with(func(s *fakeSet) {
		if s.leader == "" {
			err = errors.New("no leader")
			return
		}
		s.mounts++
		next := &commonv1.ClusterView{Index: s.view.GetIndex() + 1}
		for _, existing := range s.view.GetMounts() {
			if existing.GetPath() != m.GetPath() {
				next.Mounts = append(next.Mounts, existing)
			}
		}
		m.Id = fmt.Sprintf("m%d", s.mounts)
		next.Mounts = append(next.Mounts, m)
		s.view = next
	})
	return m, true, err
}

func (c fakeClient) Unmount(_ context.Context, path string) error {
	c.with(func(s *fakeSet) {
		next := &commonv1.ClusterView{Index: s.view.GetIndex() + 1}
		for _, existing := range s.view.GetMounts() {
			if existing.GetPath() != path {
				next.Mounts = append(next.Mounts, existing)
			}
		}
		s.view = next
	})
	return nil
}

func (c fakeClient) RemoveWorker(_ context.Context, name string) error {
	var err error
	c.with(func(s *fakeSet) {
		if s.leader == "" {
			err = errUnavailable
			return
		}
		next := proto.CloneOf(s.view)
		next.Ring.Members = slices.DeleteFunc(next.Ring.Members, func(m *commonv1.RingMember) bool { return m.GetName() == name })
		next.Index++
		s.view = next
	})
	return err
}

// Transfer moves leadership to the named master, or to the next one.
func (c fakeClient) Transfer(_ context.Context, to string) (string, error) {
	var err error
	c.with(func(s *fakeSet) {
		for i, m := range s.topology.Masters {
			if to == "" && m.Name == s.leader {
				to = s.topology.Masters[(i+1)%len(s.topology.Masters)].Name
			}
		}
		if s.leader == "" {
			err = errUnavailable
			return
		}
		s.leader = to
		s.term++
	})
	return to, err
}

func (fakeClient) Close() {}
