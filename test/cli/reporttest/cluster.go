package reporttest

import (
	"fmt"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// InCluster is the seed's pair as the objects of a cluster show it: a master that
// was killed for its memory, a worker on a lost node, pods that read.
func InCluster() *report.Runtime {
	r := report.New(report.Ref{Namespace: "vision", Name: "hadoop"}, Now())
	r.Created = ago(41 * day)
	r.Dataset = report.Dataset{Name: "hbase", Phase: "Bound", Objects: new(int64(3000)), Bytes: new(int64(4 * gib))}
	r.Mounts = []report.Mount{{Name: "hadoop", Path: "/hadoop", URI: "oss://test-bucket/", ReadOnly: true}}
	for i := range 3 {
		m := report.Master{
			Name: fmt.Sprintf("hadoop-jindofs-master-%d", i), Address: fmt.Sprintf("hadoop-jindofs-master-%d.vision.svc:18004", i),
			State: "FOLLOWER", Voter: true, Ready: true, Term: 17, Leader: "hadoop-jindofs-master-1", Pod: pod(fmt.Sprintf("hadoop-jindofs-master-%d", i), i),
		}
		r.Masters = append(r.Masters, m)
		name := fmt.Sprintf("hadoop-jindofs-worker-%d", i)
		r.Workers = append(r.Workers, report.Worker{Name: name, Registered: true, Live: true, Pod: pod(name, i)})
		name = fmt.Sprintf("hadoop-jindofs-fuse-%d", i)
		r.Fuses = append(r.Fuses, report.Fuse{Name: name, Mountpoint: fmt.Sprintf("cn-h-%d", i), Ready: true, Starts: 1, Pod: pod(name, i)})
	}
	r.Masters[1].State = "LEADER"
	ill := r.Masters[2].Pod
	ill.Ready, ill.State, ill.Reason, ill.Restarts = false, "OOMKilled", "container master: OOMKilled: exit code 137", 3
	r.Masters[2].Ready, r.Masters[2].Error, r.Masters[2].State = false, ill.Reason, "UNREACHABLE"
	lost := r.Workers[1].Pod
	lost.Ready, lost.State, lost.Reason = false, "NodeLost", "NodeLost: node cn-h-1 has not been ready for 4m"
	r.Workers[1].Live, r.Workers[1].Error = false, lost.Reason
	for i := range 4 {
		via := "csi"
		if i > 0 {
			via = "sidecar"
		}
		r.Consumers = append(r.Consumers, report.Consumer{Pod: *pod(fmt.Sprintf("train-%d", i), i%3), Via: via})
	}
	r.Passthrough = &report.Passthrough{Mounts: 5, Enabled: 2, Files: 1234, Reasons: []report.PassthroughReason{
		{Reason: "unsupported", Mounts: 2}, {Reason: "stack_depth", Mounts: 1},
	}}

	ratio := 0.978
	r.Cache = report.Cache{Used: 2 * gib, Capacity: 6 * gib, HitRatio: &ratio, RecentHitRatio: new(1.0), Tiers: []report.Tier{}}
	r.Events = []report.Event{
		{Time: ago(4 * time.Minute), Type: "Warning", Reason: "NodeGone", Object: "jindoruntime/hadoop", Message: "node cn-h-1 does not report", Count: 1},
		{Time: ago(41 * day), Type: "Normal", Reason: "Ready", Object: "jindoruntime/hadoop", Message: "masters, workers and mounts are ready", Count: 1},
	}
	r.Notes = []string{"restarted: hadoop-jindofs-master-2 (3)"}
	r.Next = "kubectl jindo check hbase -n vision"
	r.EvaluateHealth()
	return r
}

func pod(name string, node int) *report.Pod {
	return &report.Pod{Name: name, Node: fmt.Sprintf("cn-h-%d", node), State: "Running", Ready: true, Created: ago(6 * day)}
}

// Unserved is a Dataset that no runtime serves.
func Unserved() *report.Runtime {
	r := report.New(report.Ref{Namespace: "default", Name: "hbase"}, Now())
	r.Unserved, r.Health, r.Created = true, report.Unavailable, ago(time.Hour)
	r.Dataset = report.Dataset{Name: "hbase", Phase: "NotBound"}
	r.Mounts = []report.Mount{{Name: "hadoop", Path: "/hadoop", URI: "oss://test-bucket/", ReadOnly: true}}
	r.Problems = []string{"no JindoRuntime serves it"}
	r.Next = "kubectl jindo create runtime hbase"
	return r
}

// Refused is a runtime in a cluster whose store refuses the credentials: the cause
// is at the end of a long sentence.
func Refused() *report.Runtime {
	r := InCluster()
	for i := range r.Masters {
		r.Masters[i].Pod, r.Masters[i].Error, r.Masters[i].Ready = pod(r.Masters[i].Name, i), "", true
		r.Workers[i].Pod, r.Workers[i].Error, r.Workers[i].Live = pod(r.Workers[i].Name, i), "", true
	}
	r.Masters[1].State, r.Masters[2].State = "LEADER", "FOLLOWER"
	r.Events, r.Notes = []report.Event{}, []string{}
	r.EvaluateHealth()
	r.Problems = []string{"mount hadoop: list oss://test-bucket/ through oss-cn-hangzhou-internal.aliyuncs.com: " +
		"403 AccessDenied: the credentials of Secret vision/oss-secret lack oss:ListObjects"}
	r.Cause, r.Health = "Store", report.Degraded
	r.Next = "kubectl jindo check hbase -n vision"
	return r
}
