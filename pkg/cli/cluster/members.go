package cluster

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
)

const missing = "the pod does not exist"

// podsOf returns the pods of a runtime's role by name.
func (f *objects) podsOf(runtime *v1alpha1.JindoRuntime, role string) map[string]*corev1.Pod {
	pods := map[string]*corev1.Pod{}
	for i := range f.Pods {
		p := &f.Pods[i]
		if p.Namespace == runtime.Namespace && p.Labels[names.LabelApp] == names.App &&
			p.Labels[names.LabelRelease] == runtime.Name && p.Labels[names.LabelRole] == "jindofs-"+role {
			pods[p.Name] = p
		}
	}
	return pods
}

// expected returns the names of a role's pods, desired and existing ones, in the
// order of their ordinals.
func expected(component string, desired int, pods map[string]*corev1.Pod) []string {
	var all []string
	for i := range desired {
		all = append(all, ordinal(component, i))
	}
	for name := range pods {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a, b)) })
	return all
}

func number(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return 1 << 30
	}
	return n
}

func (f *objects) fillMasters(r *report.Runtime, runtime *v1alpha1.JindoRuntime) {
	pods := f.podsOf(runtime, "master")
	component := names.Component(runtime.Name, "master")
	members := map[string]v1alpha1.RaftMember{}
	raft := v1alpha1.RaftStatus{}
	if runtime.Status.Raft != nil {
		raft = *runtime.Status.Raft
	}
	for _, m := range raft.Members {
		members[m.Name] = m
	}
	for _, name := range expected(component, int(runtime.Status.DesiredMasterNumberScheduled), pods) {
		m := report.Master{
			Name: name, Address: address(name, runtime.Namespace, topology.MasterPort), RaftAddress: address(name, runtime.Namespace, topology.RaftPort),
			State: "UNKNOWN", Term: uint64(max(0, raft.Term)), Leader: raft.Leader,
		}
		if member, known := members[name]; known {
			m.State, m.Voter = member.State, member.Voter
			if member.State == "UNKNOWN" {
				m.Error = cmp.Or(member.Message, "it does not respond to the controller")
			}
		}
		pod := pods[name]
		m.Pod = f.podOrNone(name, pod)
		m.Ready = m.Pod.Ready
		if !m.Pod.Ready {
			m.Error, m.State = notReady(m.Pod, pod), "UNREACHABLE"
		}
		m.Started = m.Pod.Created
		m.RaftAddress = resolved(m.RaftAddress, m.Pod)
		r.Masters = append(r.Masters, m)
	}
}

func address(name, namespace string, port int) string {
	return name + "." + namespace + ".svc:" + strconv.Itoa(port)
}

// resolved returns the address with the pod's IP instead of its name.
func resolved(address string, pod *report.Pod) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil || pod == nil || pod.IP == "" {
		return address
	}
	return net.JoinHostPort(pod.IP, port)
}

func (f *objects) fillWorkers(r *report.Runtime, runtime *v1alpha1.JindoRuntime) {
	pods := f.podsOf(runtime, "worker")
	component := names.Component(runtime.Name, "worker")
	for _, name := range expected(component, int(runtime.Status.DesiredWorkerNumberScheduled), pods) {
		pod := pods[name]
		w := report.Worker{Name: name, Pod: f.podOrNone(name, pod)}
		w.Address = name + "." + component + "." + runtime.Namespace + ".svc:" + strconv.Itoa(topology.WorkerPort)
		w.Live, w.Registered, w.Started = w.Pod.Ready, w.Pod.Ready, w.Pod.Created
		if !w.Pod.Ready {
			w.Error = notReady(w.Pod, pod)
		}
		r.Workers = append(r.Workers, w)
	}
}

func (f *objects) fillFuses(r *report.Runtime, runtime *v1alpha1.JindoRuntime) {
	pods := f.podsOf(runtime, "fuse")
	var all []string
	for name := range pods {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(pods[a].Spec.NodeName, pods[b].Spec.NodeName), cmp.Compare(a, b))
	})
	for _, name := range all {
		pod := f.pod(pods[name])
		fuse := report.Fuse{Name: name, Mountpoint: pod.Node, Ready: pod.Ready, Starts: pod.Restarts + 1, Since: pod.Created, Pod: pod}
		if !pod.Ready {
			fuse.Error = notReady(pod, pods[name])
		}
		r.Fuses = append(r.Fuses, fuse)
	}
}

func (f *objects) podOrNone(name string, pod *corev1.Pod) *report.Pod {
	if pod == nil {
		return &report.Pod{Name: name, State: "Missing", Reason: missing}
	}
	return f.pod(pod)
}

func (f *objects) pod(pod *corev1.Pod) *report.Pod {
	p := &report.Pod{
		Name: pod.Name, Node: pod.Spec.NodeName, IP: pod.Status.PodIP, State: health.PodState(pod), Ready: health.PodReady(pod) && pod.DeletionTimestamp == nil,
		Reason: health.PodReason(pod), Restarts: health.PodRestarts(pod), Created: moment(pod.CreationTimestamp),
	}
	if lost := f.nodeLost(pod); lost != "" {
		p.Ready, p.State, p.Reason = false, "NodeLost", lost
	}
	return p
}

// nodeLost returns a sentence when the kubelet of the pod's node does not report.
func (f *objects) nodeLost(pod *corev1.Pod) string {
	if pod.Status.Reason == "NodeLost" {
		return fmt.Sprintf("NodeLost: node %s does not report", pod.Spec.NodeName)
	}
	node := f.nodes[pod.Spec.NodeName]
	if node == nil || health.PodReady(pod) {
		return ""
	}
	if ready, since := health.NodeReady(node); !ready && !since.IsZero() {
		return fmt.Sprintf("NodeLost: node %s has not been ready for %s", node.Name, duration.HumanDuration(time.Since(since)))
	}
	return ""
}

// notReady returns why a pod is not ready; it is never empty.
func notReady(p *report.Pod, pod *corev1.Pod) string {
	if p.Reason != "" {
		return p.Reason
	}
	if pod != nil && pod.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	if pod != nil && pod.Status.Phase == corev1.PodPending {
		return "it is starting"
	}
	return "it is not ready"
}
