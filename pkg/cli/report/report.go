// Package report is what commands know about a runtime, as a documented and
// versioned object: the screens are drawn from it, and -o json prints it.
//
// Fields are only ever added within cli.jindo.io/v1alpha1. Sizes are bytes,
// durations are seconds with fractions, times are RFC 3339.
//
// +kubebuilder:object:generate=true
package report

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// APIVersion of the reports.
const APIVersion = "cli.jindo.io/v1alpha1"

// Kinds of reports.
const (
	RuntimeKind     = "RuntimeReport"
	RuntimeListKind = "RuntimeReportList"
)

// Source is where reports come from: this machine, or a cluster.
// Implementations ask all targets in parallel, give each its own deadline, and
// put what did not answer into Runtime.Failures rather than fail.
//
// +kubebuilder:object:generate=false
type Source interface {
	// Runtimes lists what there is in a namespace ("" is all), in the order
	// of their names.
	Runtimes(ctx context.Context, namespace string) ([]Ref, error)
	// Collect asks everything about one runtime.
	Collect(ctx context.Context, ref Ref) (*Runtime, error)
}

// Ref names a runtime and the Dataset it serves, if any; or, with an empty Name,
// a Dataset that no runtime serves.
type Ref struct {
	Namespace, Name string
	Dataset         string
}

// String is "namespace/name".
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// Health in a word.
type Health string

// Healths, from good to bad.
const (
	// Healthy: everything that should run runs and answers.
	Healthy Health = "Healthy"
	// Starting: not everything has come up yet.
	Starting Health = "Starting"
	// Degraded: data is served, and something is missing.
	Degraded Health = "Degraded"
	// Unavailable: nothing serves data.
	Unavailable Health = "Unavailable"
	// Stopped: nothing runs.
	Stopped Health = "Stopped"
)

// Runtime is one JindoRuntime with its Dataset as they run now.
//
// +kubebuilder:object:root=true
type Runtime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Collected is when the targets were asked.
	Collected metav1.Time `json:"collected"`
	// Where it runs, for people: "this machine, 127.93.12.0/24".
	Where string `json:"where,omitempty"`
	// Version of the masters, or of whoever answered.
	Version string `json:"version,omitempty"`
	// Health of all of it, in a word.
	Health Health `json:"health"`
	// Problems, a sentence each, the cause of the others first.
	Problems []string `json:"problems"`
	// Cause of the first problem: Spec, Credentials, Store, Mounts, Placement,
	// PodSecurity, Volume, Members, Deletion or Controller; absent without problems.
	Cause string `json:"cause,omitempty"`
	// Notes are sentences about what is no fault: a change that waits, a pod that
	// was restarted, what could not be looked at and why.
	Notes []string `json:"notes"`
	// Created is when the JindoRuntime, or a Dataset that none serves, was made in
	// a cluster.
	Created *metav1.Time `json:"created,omitempty"`
	// Asked is true when the members were asked themselves, and false when this is
	// what the cluster's objects say of them.
	Asked bool `json:"asked"`
	// Unserved is true for a Dataset that no runtime serves; metadata.name is its
	// name then.
	Unserved bool `json:"unserved,omitempty"`

	// Dataset that it serves.
	Dataset Dataset `json:"dataset"`
	// Masters, in the order of their numbers.
	Masters []Master `json:"masters"`
	// Workers, in the order of their numbers.
	Workers []Worker `json:"workers"`
	// Cache of all workers together.
	Cache Cache `json:"cache"`
	// Mounts of the Dataset, by path.
	Mounts []Mount `json:"mounts"`
	// Fuses are the FUSE servers, one a node.
	Fuses []Fuse `json:"fuses"`
	// Consumers are the pods that mount the Dataset.
	Consumers []Consumer `json:"consumers"`
	// Events about the objects of all these, the newest first.
	Events []Event `json:"events"`

	// Failures are the targets that did not answer.
	Failures []Failure `json:"failures"`
	// Targets that were asked.
	Targets int `json:"targets"`
	// Next is the command that leads on, when there is a problem.
	Next string `json:"next,omitempty"`
}

// Dataset that a runtime serves.
type Dataset struct {
	// Name is empty when the runtime serves none.
	Name string `json:"name,omitempty"`
	// Phase that it is in: Bound, NotBound, Failed, Pending.
	Phase string `json:"phase"`
	// Message says what to write when none is bound.
	Message string `json:"message,omitempty"`
	// Objects and Bytes in the stores of all mounts, as far as they are known; in a
	// cluster the bytes are rounded.
	Objects *int64 `json:"objects,omitempty"`
	// Bytes: see Objects.
	Bytes *int64 `json:"bytes,omitempty"`
}

// Pod that something runs in.
type Pod struct {
	// Name of the pod.
	Name string `json:"name"`
	// Node that it runs on; absent while it has none.
	Node string `json:"node,omitempty"`
	// IP of the pod; absent while it has none.
	IP string `json:"ip,omitempty"`
	// State in the word that kubectl prints: Running, Pending, OOMKilled.
	State string `json:"state"`
	// Ready as the kubelet says.
	Ready bool `json:"ready"`
	// Reason is what keeps it from being ready, for people.
	Reason string `json:"reason,omitempty"`
	// Restarts of all its containers.
	Restarts int `json:"restarts"`
	// Created is when the pod was made.
	Created *metav1.Time `json:"created,omitempty"`
}

// Consumer is a pod that mounts the Dataset.
type Consumer struct {
	Pod `json:",inline"`
	// Via is sidecar or csi.
	Via string `json:"via"`
	// Paths in its containers.
	Paths []string `json:"paths,omitempty"`
	// Stale: it runs, and nothing serves its mount.
	Stale bool `json:"stale,omitempty"`
}

// Event of the cluster.
type Event struct {
	// Time that it was last seen.
	Time *metav1.Time `json:"time,omitempty"`
	// Type is Normal or Warning.
	Type string `json:"type"`
	// Reason in one word.
	Reason string `json:"reason"`
	// Object it is about, by name.
	Object string `json:"object"`
	// Message for people.
	Message string `json:"message"`
	// Count of times that it was seen.
	Count int `json:"count"`
}

// Master as it says of itself; only Name, Address and Error are set when it
// does not answer.
type Master struct {
	// Name of the master, which is its pod's.
	Name string `json:"name"`
	// Address of its gRPC port.
	Address string `json:"address"`
	// RaftAddress as host:port.
	RaftAddress string `json:"raftAddress,omitempty"`
	// MemberID was minted with its data directory.
	MemberID string `json:"memberID,omitempty"`
	// State is LEADER, FOLLOWER, CANDIDATE, SHUTDOWN, JOINING or UNREACHABLE.
	State string `json:"state"`
	// Voter takes part in elections.
	Voter bool `json:"voter"`
	// Ready to answer changes or to pass them on.
	Ready bool `json:"ready"`
	// Term that it is in.
	Term uint64 `json:"term,omitempty"`
	// Leader as this member believes.
	Leader string `json:"leader,omitempty"`
	// LeaderSince is when it learned of this leader.
	LeaderSince *metav1.Time `json:"leaderSince,omitempty"`
	// LastLogIndex of what it has written.
	LastLogIndex uint64 `json:"lastLogIndex,omitempty"`
	// CommitIndex that it knows of.
	CommitIndex uint64 `json:"commitIndex,omitempty"`
	// AppliedIndex of its state.
	AppliedIndex uint64 `json:"appliedIndex,omitempty"`
	// SnapshotIndex of its last snapshot; absent before the first.
	SnapshotIndex uint64 `json:"snapshotIndex,omitempty"`
	// SnapshotTime of that snapshot.
	SnapshotTime *metav1.Time `json:"snapshotTime,omitempty"`
	// ConfigurationIndex of the members it knows.
	ConfigurationIndex uint64 `json:"configurationIndex,omitempty"`
	// Peers are the members of the configuration this member has.
	Peers []Peer `json:"peers,omitempty"`
	// ContactSeconds since it heard from the leader; absent on the leader.
	ContactSeconds *float64 `json:"contactSeconds,omitempty"`
	// RTTSeconds of one call from here.
	RTTSeconds *float64 `json:"rttSeconds,omitempty"`
	// FsyncP99Seconds: 99 of 100 writes to its log took no longer.
	FsyncP99Seconds *float64 `json:"fsyncP99Seconds,omitempty"`
	// LogEntries since the last snapshot.
	LogEntries uint64 `json:"logEntries,omitempty"`
	// LogBytes of the log's file.
	LogBytes uint64 `json:"logBytes,omitempty"`
	// Digests of its newest states.
	Digests []Digest `json:"digests,omitempty"`
	// Started is when its process began.
	Started *metav1.Time `json:"started,omitempty"`
	// Version of its program.
	Version string `json:"version,omitempty"`
	// Pod it runs in; absent outside a cluster.
	Pod *Pod `json:"pod,omitempty"`
	// Error is why it did not answer.
	Error string `json:"error,omitempty"`
}

// Peer is a member of a Raft configuration.
type Peer struct {
	// Name of the member.
	Name string `json:"name"`
	// MemberID in the configuration.
	MemberID string `json:"memberID"`
	// Address of its Raft port.
	Address string `json:"address"`
	// Voter takes part in elections.
	Voter bool `json:"voter"`
}

// Digest of the replicated state at an index.
type Digest struct {
	// Index in the log that the state is of.
	Index uint64 `json:"index"`
	// Digest of the state there.
	Digest string `json:"digest"`
}

// Worker as it says of itself.
type Worker struct {
	// Name of the worker, which is its pod's.
	Name string `json:"name"`
	// Address of its port.
	Address string `json:"address"`
	// Registered in the ring.
	Registered bool `json:"registered"`
	// Live: it answered, or its pod is ready.
	Live bool `json:"live"`
	// Draining: it gives its files to others.
	Draining bool `json:"draining,omitempty"`
	// RingEpoch that it acts on.
	RingEpoch uint64 `json:"ringEpoch,omitempty"`
	// ViewIndex of what it knows of the cluster.
	ViewIndex uint64 `json:"viewIndex,omitempty"`
	// Tiers, the fastest first.
	Tiers []Tier `json:"tiers,omitempty"`
	// Hits are reads answered from the cache.
	Hits uint64 `json:"hits"`
	// Misses are reads that needed the store.
	Misses uint64 `json:"misses"`
	// HitBytes since it started.
	HitBytes uint64 `json:"hitBytes"`
	// MissBytes since it started.
	MissBytes uint64 `json:"missBytes"`
	// StoreBytes read from the store since it started.
	StoreBytes uint64 `json:"storeBytes"`
	// RecentSeconds is the length of the window that the recent figures are about;
	// absent when the worker does not report them.
	RecentSeconds float64 `json:"recentSeconds,omitempty"`
	// RecentHitBytes within the window.
	RecentHitBytes uint64 `json:"recentHitBytes"`
	// RecentMissBytes within the window.
	RecentMissBytes uint64 `json:"recentMissBytes"`
	// Started is when its process began.
	Started *metav1.Time `json:"started,omitempty"`
	// Version of its program.
	Version string `json:"version,omitempty"`
	// Pod it runs in; absent outside a cluster.
	Pod *Pod `json:"pod,omitempty"`
	// Error is why it did not answer.
	Error string `json:"error,omitempty"`
}

// Tier of one worker, or of all of them together.
type Tier struct {
	// Medium is MEM, SSD or HDD.
	Medium string `json:"medium"`
	// Capacity in bytes.
	Capacity uint64 `json:"capacity"`
	// Used bytes.
	Used uint64 `json:"used"`
	// Files that cache blocks.
	Files uint64 `json:"files"`
	// SealedFiles are those that are written no more.
	SealedFiles uint64 `json:"sealedFiles"`
	// Error is why nothing new is cached here.
	Error string `json:"error,omitempty"`
}

// Cache is the sum over the workers that answered.
type Cache struct {
	// Capacity in bytes.
	Capacity uint64 `json:"capacity"`
	// Used bytes.
	Used uint64 `json:"used"`
	// Tiers by medium, the fastest first.
	Tiers []Tier `json:"tiers"`
	// HitRatio of bytes since the workers started; absent before a first read.
	HitRatio *float64 `json:"hitRatio,omitempty"`
	// HitBytes since the workers started.
	HitBytes uint64 `json:"hitBytes"`
	// MissBytes since the workers started.
	MissBytes uint64 `json:"missBytes"`
	// StoreBytes read from the store since then.
	StoreBytes uint64 `json:"storeBytes"`
	// RecentSeconds is the length of the window that the recent figures are about;
	// absent when no worker reports them.
	RecentSeconds float64 `json:"recentSeconds,omitempty"`
	// RecentHitRatio of bytes within the window; absent without reads.
	RecentHitRatio *float64 `json:"recentHitRatio,omitempty"`
	// RecentHitBytes within the window.
	RecentHitBytes uint64 `json:"recentHitBytes"`
	// RecentMissBytes within the window.
	RecentMissBytes uint64 `json:"recentMissBytes"`
}

// Mount of an under-storage into the tree.
type Mount struct {
	// Name of the mount in the Dataset.
	Name string `json:"name"`
	// Path in the tree.
	Path string `json:"path"`
	// URI of what is mounted.
	URI string `json:"uri"`
	// ReadOnly: nothing is written to the store.
	ReadOnly bool `json:"readOnly"`
	// Objects and Bytes of the last complete listing; absent while unknown.
	Objects *int64 `json:"objects,omitempty"`
	// Bytes: see Objects.
	Bytes *int64 `json:"bytes,omitempty"`
	// Epoch of what may be cached of it.
	Epoch uint64 `json:"epoch"`
	// Error is what the store last refused, as some worker saw it.
	Error string `json:"error,omitempty"`
}

// Fuse is one mount point and its server.
type Fuse struct {
	// Name of the server.
	Name string `json:"name"`
	// Mountpoint that it serves.
	Mountpoint string `json:"mountpoint"`
	// Ready: the kernel is answered.
	Ready bool `json:"ready"`
	// Starts of its process.
	Starts int `json:"starts"`
	// Since is when it was last started.
	Since *metav1.Time `json:"since,omitempty"`
	// Pod it runs in; absent outside a cluster.
	Pod *Pod `json:"pod,omitempty"`
	// Error is why it is not ready.
	Error string `json:"error,omitempty"`
}

// Failure is a target that did not answer.
type Failure struct {
	// Target by name.
	Target string `json:"target"`
	// Error in a few words.
	Error string `json:"error"`
}

// RuntimeList is several reports.
//
// +kubebuilder:object:root=true
type RuntimeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the reports, by namespace and name.
	Items []Runtime `json:"items"`
}

var (
	_ runtime.Object = (*Runtime)(nil)
	_ runtime.Object = (*RuntimeList)(nil)
)

// New makes an empty report. Lists are empty rather than absent, so that
// whoever reads the JSON need not tell the two apart.
func New(ref Ref, now time.Time) *Runtime {
	return &Runtime{
		TypeMeta:   metav1.TypeMeta{APIVersion: APIVersion, Kind: RuntimeKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name},
		Collected:  metav1.NewTime(now.UTC()),
		Problems:   []string{}, Notes: []string{}, Consumers: []Consumer{}, Events: []Event{}, Masters: []Master{}, Workers: []Worker{},
		Mounts: []Mount{}, Fuses: []Fuse{}, Failures: []Failure{},
		Cache: Cache{Tiers: []Tier{}},
	}
}

// NewList of reports.
func NewList(items []Runtime) *RuntimeList {
	if items == nil {
		items = []Runtime{}
	}
	return &RuntimeList{TypeMeta: metav1.TypeMeta{APIVersion: APIVersion, Kind: RuntimeListKind}, Items: items}
}
