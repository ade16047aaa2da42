// Package reporttest provides fixed reports for the tests of screens.
package reporttest

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Now returns the time at which every report was collected.
func Now() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) }

func ago(d time.Duration) *metav1.Time { return new(metav1.NewTime(Now().Add(-d))) }

const (
	day = 24 * time.Hour
	gib = 1 << 30
)

// Healthy returns the report on the seed's pair without problems.
func Healthy() *report.Runtime {
	r := report.New(report.Ref{Namespace: "default", Name: "hadoop"}, Now())
	r.Where, r.Version = "this machine, 127.93.12.0/24", "v0.1.0"
	r.Dataset = report.Dataset{Name: "hbase", Phase: "Bound"}
	r.Targets = 7
	for i := range 3 {
		r.Masters = append(r.Masters, master(i))
		r.Workers = append(r.Workers, worker(i))
	}
	r.Mounts = []report.Mount{{
		Name: "hadoop", Path: "/hadoop", URI: "oss://test-bucket/", ReadOnly: true, Epoch: 1,
		Objects: new(int64(3000)), Bytes: new(int64(4 * gib)),
	}}
	r.Fuses = []report.Fuse{{Name: "hadoop-jindofs-fuse-0", Mountpoint: "/mnt/hadoop", Ready: true, Starts: 1, Since: ago(time.Hour)}}
	r.Passthrough = &report.Passthrough{Mounts: 1, Enabled: 1, Files: 12}
	r.Sum()
	r.EvaluateHealth()
	return r
}

func master(i int) report.Master {
	m := report.Master{
		Name: fmt.Sprintf("hadoop-jindofs-master-%d", i), Address: fmt.Sprintf("127.93.12.%d:18004", 11+i),
		RaftAddress: fmt.Sprintf("127.93.12.%d:18006", 11+i), MemberID: fmt.Sprintf("m%d", i),
		State: "FOLLOWER", Voter: true, Ready: true, Term: 17, Leader: "hadoop-jindofs-master-1",
		LastLogIndex: 8214903, CommitIndex: 8214903, AppliedIndex: 8214903, SnapshotIndex: 8200000, SnapshotTime: ago(12 * time.Minute),
		ConfigurationIndex: 8201114, ContactSeconds: new(0.011), RTTSeconds: new(0.0006), FsyncP99Seconds: new(0.0021),
		LogEntries: 14903, LogBytes: 64 << 20, Started: ago(41 * day), Version: "v0.1.0",
		Digests: []report.Digest{{Index: 8214903, Digest: "3f9a0c1122334455"}, {Index: 8214902, Digest: "00aa0c1122334455"}},
	}
	for j := range 3 {
		m.Peers = append(m.Peers, report.Peer{
			Name: fmt.Sprintf("hadoop-jindofs-master-%d", j), MemberID: fmt.Sprintf("m%d", j),
			Address: fmt.Sprintf("127.93.12.%d:18006", 11+j), Voter: true,
		})
	}
	if i == 1 {
		m.State, m.ContactSeconds, m.LeaderSince = "LEADER", nil, ago(6*day)
		m.Group = &report.GroupHealth{Healthy: true, FailureTolerance: 1}
		m.Verification = &report.Verification{Time: *ago(3 * time.Hour), Result: report.VerifiedEqual, First: 8190001, Last: 8214000}
		for j := range m.Peers {
			m.Peers[j].CaughtUpSince, m.Peers[j].Stable, m.Peers[j].Behind = ago(6*day), new(true), new(uint64(0))
			if j != i {
				m.Peers[j].ContactSeconds = new(0.011)
			}
		}
	}
	return m
}

func worker(i int) report.Worker {
	return report.Worker{
		Name: fmt.Sprintf("hadoop-jindofs-worker-%d", i), Address: fmt.Sprintf("127.93.12.%d:18005", 21+i),
		Registered: true, Live: true, RingEpoch: 3, ViewIndex: 8214903,
		Tiers: []report.Tier{
			{Medium: "HDD", Capacity: 2 * gib, Used: gib / 2, Files: 400, SealedFiles: 390},
			{Medium: "MEM", Capacity: gib, Used: gib / 4, Files: 10, SealedFiles: 10},
		},
		Hits: 900, Misses: 100, HitBytes: 9 * gib, MissBytes: gib, StoreBytes: gib,
		RecentSeconds: 300, RecentHitBytes: 2 * gib, RecentMissBytes: 0, Started: ago(41 * day), Version: "v0.1.0",
	}
}

// Degraded returns a report with an unreachable master, an unreachable worker, a
// full disk, a slow disk, a store that refuses requests and a restarted FUSE server.
func Degraded() *report.Runtime {
	r := Healthy()
	refused := "connection refused"
	r.Masters[0] = report.Master{Name: r.Masters[0].Name, Address: r.Masters[0].Address, RaftAddress: r.Masters[0].RaftAddress, State: "UNREACHABLE", Error: refused}
	leader := &r.Masters[1]
	leader.Group = &report.GroupHealth{Reason: r.Masters[0].Name + " does not respond"}
	leader.Peers[0].ContactSeconds, leader.Peers[0].Behind, leader.Peers[0].CaughtUpSince = new(12.0), new(uint64(1042)), nil
	leader.Peers[0].Stable, leader.Peers[0].Fault = new(false), "does not respond"
	leader.Verification.Result, leader.Verification.Failed = report.VerifiedIncomplete, []string{r.Masters[0].Name}
	r.Masters[2].CommitIndex, r.Masters[2].AppliedIndex, r.Masters[2].LastLogIndex = 8214871, 8214870, 8214880
	r.Masters[2].ContactSeconds, r.Masters[2].RTTSeconds, r.Masters[2].FsyncP99Seconds = new(0.048), new(0.0098), new(0.0314)
	r.Masters[2].Digests = []report.Digest{{Index: 8214902, Digest: "00aa0c1122334455"}}
	r.Workers[1] = report.Worker{Name: r.Workers[1].Name, Address: r.Workers[1].Address, Registered: true, Error: "timeout"}
	r.Workers[0].Tiers[1].Hits, r.Workers[0].Tiers[1].HitBytes, r.Workers[0].Tiers[1].Promoted = 700, 7*gib, 12
	r.Workers[2].Tiers[0].Error = "no space left on device"
	r.Mounts[0].Error = "403: the credentials lack oss:ListObjects"
	r.Fuses[0].Starts = 3
	r.Passthrough = &report.Passthrough{Mounts: 1, Reasons: []report.PassthroughReason{{Reason: "holder", Mounts: 1}}}
	r.Failures = []report.Failure{{Target: r.Masters[0].Name, Error: refused}, {Target: r.Workers[1].Name, Error: "timeout"}}
	r.Next = "kubectl jindo local down hadoop   # then correct the mount or its credentials in the manifest, and run local up again"
	r.Sum()
	r.EvaluateHealth()
	return r
}

// Unbound returns the report on a new runtime without a Dataset.
func Unbound() *report.Runtime {
	r := Healthy()
	r.Name, r.Dataset, r.Mounts = "lonely", report.Dataset{Phase: "NotBound"}, []report.Mount{}
	for i := range r.Workers {
		r.Workers[i].HitBytes, r.Workers[i].MissBytes, r.Workers[i].StoreBytes, r.Workers[i].RecentHitBytes = 0, 0, 0, 0
		r.Workers[i].Tiers = []report.Tier{{Medium: "HDD", Capacity: 2 * gib}}
	}
	r.Sum()
	r.EvaluateHealth()
	return r
}

// Chinese returns a report with names whose characters are two columns wide.
func Chinese() *report.Runtime {
	r := Healthy()
	r.Dataset.Name = "训练数据集"
	r.Mounts = []report.Mount{
		{Name: "图像", Path: "/图像/训练", URI: "oss://test-bucket/图像数据/", ReadOnly: true, Objects: new(int64(3000)), Bytes: new(int64(4 * gib))},
		{Name: "text", Path: "/text", URI: "oss://test-bucket/text/", ReadOnly: true, Objects: new(int64(12)), Bytes: new(int64(gib))},
	}
	r.Fuses[0].Mountpoint = "/mnt/训练数据集"
	r.Mounts[0].Error = "403：凭证缺少 oss:ListObjects 权限"
	r.Sum()
	r.EvaluateHealth()
	return r
}

// Leaderless returns a report without a leader: every master is a candidate.
func Leaderless() *report.Runtime {
	r := Healthy()
	for i := range r.Masters {
		r.Masters[i].State, r.Masters[i].Leader, r.Masters[i].LeaderSince = "CANDIDATE", "", nil
		r.Masters[i].Group = nil
		r.Masters[i].Term += uint64(i)
		r.Masters[i].Ready = false
	}
	r.EvaluateHealth()
	return r
}

// Diverged returns a report with a master whose state differs from the others'.
func Diverged() *report.Runtime {
	r := Healthy()
	r.Masters[2].Digests = []report.Digest{{Index: 8214903, Digest: "ffffffffffffffff"}}
	return r
}

// Source is a source of fixed reports.
type Source struct {
	Reports []*report.Runtime
	// Err is returned by Runtimes.
	Err error
	// Transferred records the arguments of Transfer.
	Transferred []string
}

var _ report.Source = (*Source)(nil)

// Runtimes returns the references of the reports.
func (s *Source) Runtimes(_ context.Context, namespace string) ([]report.Ref, error) {
	var refs []report.Ref
	for _, r := range s.Reports {
		if namespace == "" || r.Namespace == namespace {
			refs = append(refs, report.Ref{Namespace: r.Namespace, Name: r.Name, Dataset: r.Dataset.Name})
		}
	}
	return refs, s.Err
}

// Collect returns a report.
func (s *Source) Collect(_ context.Context, ref report.Ref) (*report.Runtime, error) {
	for _, r := range s.Reports {
		if r.Namespace == ref.Namespace && r.Name == ref.Name {
			found := *r
			return &found, nil
		}
	}
	return nil, fmt.Errorf("no runtime %s", ref)
}

// Transfer records its arguments.
func (s *Source) Transfer(_ context.Context, ref report.Ref, to string) (string, error) {
	s.Transferred = append(s.Transferred, ref.String()+" to "+to)
	if to == "" {
		to = "hadoop-jindofs-master-0"
	}
	return to, nil
}
