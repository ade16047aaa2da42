// Package report provides the report on a runtime, a documented and versioned
// object: commands draw their screens from it, and print it with -o json.
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

// Source collects reports from this machine or from a cluster. Implementations
// query all targets concurrently, each with a deadline of its own, and list
// unreachable ones in Runtime.Failures instead of failing.
//
// +kubebuilder:object:generate=false
type Source interface {
	// Runtimes returns the runtimes of a namespace, or of all if it is "", ordered
	// by name.
	Runtimes(ctx context.Context, namespace string) ([]Ref, error)
	// Collect returns the report on one runtime.
	Collect(ctx context.Context, ref Ref) (*Runtime, error)
}

// Ref identifies a runtime and the Dataset it serves, if any; or, with an empty
// Name, a Dataset that no runtime serves.
type Ref struct {
	Namespace, Name string
	Dataset         string
}

// String returns "namespace/name".
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// Health summarizes the state of a runtime.
type Health string

// Values of Health, from best to worst.
const (
	// Healthy: every component is running and reachable.
	Healthy Health = "Healthy"
	// Starting: not every component is ready yet.
	Starting Health = "Starting"
	// Degraded: data is served, but there are problems.
	Degraded Health = "Degraded"
	// Unavailable: no component serves data.
	Unavailable Health = "Unavailable"
	// Stopped: no component is running.
	Stopped Health = "Stopped"
)

// Runtime is the current state of one JindoRuntime with its Dataset.
//
// +kubebuilder:object:root=true
type Runtime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Collected is when the targets were queried.
	Collected metav1.Time `json:"collected"`
	// Where describes where it runs: "this machine, 127.93.12.0/24".
	Where string `json:"where,omitempty"`
	// Version of the masters, or of another component that responded.
	Version string `json:"version,omitempty"`
	// Health of the runtime.
	Health Health `json:"health"`
	// Problems, a sentence each, the cause of the others first.
	Problems []string `json:"problems"`
	// Cause of the first problem: Spec, Credentials, Store, Mounts, Placement,
	// PodSecurity, Volume, Members, Deletion or Controller; absent without problems.
	Cause string `json:"cause,omitempty"`
	// Notes are sentences about what is not a problem: a pending change, a restarted
	// pod, what could not be read and why.
	Notes []string `json:"notes"`
	// Created is the creation time of the JindoRuntime, or of a Dataset without one,
	// in a cluster.
	Created *metav1.Time `json:"created,omitempty"`
	// MemberViews is true if the report has the members' own views, and false if it has
	// the status of the cluster's objects only.
	MemberViews bool `json:"asked"`
	// Unserved is true for a Dataset that no runtime serves; metadata.name is then
	// the Dataset's.
	Unserved bool `json:"unserved,omitempty"`

	// Dataset that the runtime serves.
	Dataset Dataset `json:"dataset"`
	// Masters, in the order of their numbers.
	Masters []Master `json:"masters"`
	// Workers, in the order of their numbers.
	Workers []Worker `json:"workers"`
	// Cache of all workers together.
	Cache Cache `json:"cache"`
	// Mounts of the Dataset, by path.
	Mounts []Mount `json:"mounts"`
	// Fuses are the FUSE servers, one for each node.
	Fuses []Fuse `json:"fuses"`
	// Passthrough is how many mounts have the kernel read complete cached files itself;
	// absent if no mount has reported it.
	Passthrough *Passthrough `json:"passthrough,omitempty"`
	// Consumers are the pods that mount the Dataset.
	Consumers []Consumer `json:"consumers"`
	// Events about these objects, newest first.
	Events []Event `json:"events"`

	// Failures are the targets that were unreachable.
	Failures []Failure `json:"failures"`
	// Targets is the number of targets that were queried.
	Targets int `json:"targets"`
	// Next is the command to run next if there is a problem.
	Next string `json:"next,omitempty"`
}

// Dataset is the Dataset that a runtime serves.
type Dataset struct {
	// Name is empty if the runtime serves none.
	Name string `json:"name,omitempty"`
	// Phase is Bound, NotBound, Failed or Pending.
	Phase string `json:"phase"`
	// Message says how to bind one if none is bound.
	Message string `json:"message,omitempty"`
	// Objects and Bytes count the stores of all mounts, as far as known; in a
	// cluster the bytes are rounded.
	Objects *int64 `json:"objects,omitempty"`
	// Bytes: see Objects.
	Bytes *int64 `json:"bytes,omitempty"`
	// AtLeast is true if Objects and Bytes are lower bounds.
	AtLeast bool `json:"atLeast,omitempty"`
}

// Pod is the pod of a component.
type Pod struct {
	// Name of the pod.
	Name string `json:"name"`
	// Node of the pod; absent before it is scheduled.
	Node string `json:"node,omitempty"`
	// IP of the pod; absent before it has one.
	IP string `json:"ip,omitempty"`
	// State as kubectl prints it: Running, Pending, OOMKilled.
	State string `json:"state"`
	// Ready as the kubelet reports it.
	Ready bool `json:"ready"`
	// Reason is a sentence that explains why the pod is not ready.
	Reason string `json:"reason,omitempty"`
	// Restarts counts those of all its containers.
	Restarts int `json:"restarts"`
	// Created is the pod's creation time.
	Created *metav1.Time `json:"created,omitempty"`
}

// Consumer is a pod that mounts the Dataset.
type Consumer struct {
	Pod `json:",inline"`
	// Via is sidecar or csi.
	Via string `json:"via"`
	// Paths of the mounts in its containers.
	Paths []string `json:"paths,omitempty"`
	// Stale is true if the pod is running and no server serves its mount.
	Stale bool `json:"stale,omitempty"`
}

// Event is an event of the cluster.
type Event struct {
	// Time of the last occurrence.
	Time *metav1.Time `json:"time,omitempty"`
	// Type is Normal or Warning.
	Type string `json:"type"`
	// Reason in one word.
	Reason string `json:"reason"`
	// Object that the event is about, by name.
	Object string `json:"object"`
	// Message of the event.
	Message string `json:"message"`
	// Count of occurrences.
	Count int `json:"count"`
	// Resolved is true for a warning about the start of a pod that became ready
	// afterwards.
	Resolved bool `json:"resolved,omitempty"`
}

// ScheduledSnapshots is the state of scheduled snapshots of the masters' state.
type ScheduledSnapshots struct {
	// Mount that they are written to, by name.
	Mount string `json:"mount"`
	// Time of the newest one; absent while none is known.
	Time *metav1.Time `json:"time,omitempty"`
	// Key of its object, below the prefix of the mount.
	Key string `json:"key,omitempty"`
	// Index of the last entry in it.
	Index uint64 `json:"index,omitempty"`
	// Bytes is its size.
	Bytes int64 `json:"bytes,omitempty"`
	// Failures is the number of attempts that have failed since the last success.
	Failures int `json:"failures,omitempty"`
	// Error is why the last attempt has failed.
	Error string `json:"error,omitempty"`
	// Next is the time of the next attempt.
	Next *metav1.Time `json:"next,omitempty"`
}

// Master is a master's view of itself. Only Name, Address and Error are set if it
// is unreachable.
type Master struct {
	// Name of the master, which is its pod's.
	Name string `json:"name"`
	// Address of its gRPC port.
	Address string `json:"address"`
	// RaftAddress as host:port.
	RaftAddress string `json:"raftAddress,omitempty"`
	// MemberID is the Raft id that was created with its data directory.
	MemberID string `json:"memberID,omitempty"`
	// State is LEADER, FOLLOWER, CANDIDATE, SHUTDOWN, JOINING or UNREACHABLE.
	State string `json:"state"`
	// Voter is true if the member votes in elections.
	Voter bool `json:"voter"`
	// Ready is true if the master accepts or forwards changes.
	Ready bool `json:"ready"`
	// Reason is a sentence that explains why the master is not ready, or accepts no
	// changes.
	Reason string `json:"reason,omitempty"`
	// ReadOnly is true if the master accepts no changes because its disk is full.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Term is its current term.
	Term uint64 `json:"term,omitempty"`
	// Leader that this member follows.
	Leader string `json:"leader,omitempty"`
	// LeaderSince is when this member learned of its leader.
	LeaderSince *metav1.Time `json:"leaderSince,omitempty"`
	// LastLogIndex of its log.
	LastLogIndex uint64 `json:"lastLogIndex,omitempty"`
	// CommitIndex that it has learned.
	CommitIndex uint64 `json:"commitIndex,omitempty"`
	// AppliedIndex is the last index applied to its state.
	AppliedIndex uint64 `json:"appliedIndex,omitempty"`
	// SnapshotIndex of its last snapshot; absent before the first.
	SnapshotIndex uint64 `json:"snapshotIndex,omitempty"`
	// SnapshotTime of that snapshot.
	SnapshotTime *metav1.Time `json:"snapshotTime,omitempty"`
	// Scheduled is the state of scheduled snapshots as the leader observes it; absent on
	// other masters, and without a schedule.
	Scheduled *ScheduledSnapshots `json:"scheduled,omitempty"`
	// ConfigurationIndex of its configuration of members.
	ConfigurationIndex uint64 `json:"configurationIndex,omitempty"`
	// Peers are the members of its configuration.
	Peers []Peer `json:"peers,omitempty"`
	// ContactSeconds since its last contact with the leader; absent on the leader.
	ContactSeconds *float64 `json:"contactSeconds,omitempty"`
	// RTTSeconds of one request from this machine.
	RTTSeconds *float64 `json:"rttSeconds,omitempty"`
	// FsyncP99Seconds is the 99th percentile of writes to its log.
	FsyncP99Seconds *float64 `json:"fsyncP99Seconds,omitempty"`
	// LogEntries since the last snapshot.
	LogEntries uint64 `json:"logEntries,omitempty"`
	// LogBytes is the size of the log file.
	LogBytes uint64 `json:"logBytes,omitempty"`
	// Group is the health of the group as this master, the leader, observes it; absent
	// on other masters.
	Group *GroupHealth `json:"group,omitempty"`
	// Verification is the last comparison of all masters that this one received.
	Verification *Verification `json:"verification,omitempty"`
	// Digests of its latest states.
	Digests []Digest `json:"digests,omitempty"`
	// Started is the start time of its process.
	Started *metav1.Time `json:"started,omitempty"`
	// Version of its program.
	Version string `json:"version,omitempty"`
	// Pod of the component; absent outside a cluster.
	Pod *Pod `json:"pod,omitempty"`
	// Error is why the component was unreachable.
	Error string `json:"error,omitempty"`
}

// Digest is the digest of the replicated state at an index.
type Digest struct {
	// Index in the log.
	Index uint64 `json:"index"`
	// Digest of the state at the index.
	Digest string `json:"digest"`
}

// Worker is a worker's view of itself.
type Worker struct {
	// Name of the worker, which is its pod's.
	Name string `json:"name"`
	// Address of its port.
	Address string `json:"address"`
	// Registered is true if the worker is in the ring.
	Registered bool `json:"registered"`
	// Live is true if the worker responded, or its pod is ready.
	Live bool `json:"live"`
	// Draining is true while the worker moves its files to others.
	Draining bool `json:"draining,omitempty"`
	// RingEpoch that the worker uses.
	RingEpoch uint64 `json:"ringEpoch,omitempty"`
	// ViewIndex of its view of the cluster.
	ViewIndex uint64 `json:"viewIndex,omitempty"`
	// Tiers, fastest first.
	Tiers []Tier `json:"tiers,omitempty"`
	// Hits counts reads served from the cache.
	Hits uint64 `json:"hits"`
	// Misses counts reads that needed the store.
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
	// Started is the start time of its process.
	Started *metav1.Time `json:"started,omitempty"`
	// Version of its program.
	Version string `json:"version,omitempty"`
	// Pod of the component; absent outside a cluster.
	Pod *Pod `json:"pod,omitempty"`
	// Error is why the component was unreachable.
	Error string `json:"error,omitempty"`
}

// Tier is a cache tier of one worker, or of all workers together.
type Tier struct {
	// Medium is MEM, SSD or HDD.
	Medium string `json:"medium"`
	// Capacity in bytes.
	Capacity uint64 `json:"capacity"`
	// Used bytes.
	Used uint64 `json:"used"`
	// Files that cache blocks.
	Files uint64 `json:"files"`
	// SealedFiles counts the complete, immutable ones.
	SealedFiles uint64 `json:"sealedFiles"`
	// Error is why the tier caches nothing new.
	Error string `json:"error,omitempty"`
	// Failing counts the directories that cache nothing new.
	Failing int `json:"failing,omitempty"`
	// Hits counts reads whose first byte came from the tier since the workers started.
	Hits uint64 `json:"hits,omitempty"`
	// HitBytes read from the tier since the workers started.
	HitBytes uint64 `json:"hitBytes,omitempty"`
	// Promoted counts objects moved here from a slower tier.
	Promoted uint64 `json:"promoted,omitempty"`
	// Demoted counts objects moved here from a faster tier.
	Demoted uint64 `json:"demoted,omitempty"`
}

// Cache is the sum over the reachable workers.
type Cache struct {
	// Capacity in bytes.
	Capacity uint64 `json:"capacity"`
	// Used bytes.
	Used uint64 `json:"used"`
	// Tiers by medium, fastest first.
	Tiers []Tier `json:"tiers"`
	// HitRatio of bytes since the workers started; absent before the first read.
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

// Mount is the mount of a store in the tree.
type Mount struct {
	// Name of the mount in the Dataset.
	Name string `json:"name"`
	// Path in the tree.
	Path string `json:"path"`
	// URI of the store.
	URI string `json:"uri"`
	// ReadOnly is true if the store is not written to.
	ReadOnly bool `json:"readOnly"`
	// Objects and Bytes of the last count; absent while unknown.
	Objects *int64 `json:"objects,omitempty"`
	// Bytes: see Objects.
	Bytes *int64 `json:"bytes,omitempty"`
	// AtLeast is true if the store is too large to be counted: Objects and Bytes
	// are lower bounds.
	AtLeast bool `json:"atLeast,omitempty"`
	// Hidden is the number of keys that cannot be paths of files, and are therefore
	// not visible.
	Hidden int64 `json:"hidden,omitempty"`
	// Epoch of its cached data; an invalidation increments it.
	Epoch uint64 `json:"epoch"`
	// Error is the last error of the store, as reported by a worker.
	Error string `json:"error,omitempty"`
}

// Fuse is a FUSE server and its mount point.
type Fuse struct {
	// Name of the server.
	Name string `json:"name"`
	// Mountpoint that it serves.
	Mountpoint string `json:"mountpoint"`
	// Ready is true if the server serves the kernel.
	Ready bool `json:"ready"`
	// Starts counts the starts of its process.
	Starts int `json:"starts"`
	// Since is its last start.
	Since *metav1.Time `json:"since,omitempty"`
	// Pod of the component; absent outside a cluster.
	Pod *Pod `json:"pod,omitempty"`
	// Error is why it is not ready.
	Error string `json:"error,omitempty"`
}

// Passthrough is how many mounts have the kernel read complete cached files itself.
type Passthrough struct {
	// Mounts that have reported within two minutes.
	Mounts int `json:"mounts"`
	// Enabled is the number of those for which the kernel reads files itself.
	Enabled int `json:"enabled"`
	// Files that it reads itself now, on all mounts.
	Files uint64 `json:"files"`
	// Reasons why it does not on other mounts, the most frequent first.
	Reasons []PassthroughReason `json:"reasons,omitempty"`
}

// PassthroughReason is a reason for which the kernel does not read files itself.
type PassthroughReason struct {
	// Reason is a label of jindo_fuse_passthrough_fallbacks_total, or "off".
	Reason string `json:"reason"`
	// Mounts is the number of mounts.
	Mounts int `json:"mounts"`
}

// Failure is a target that was unreachable.
type Failure struct {
	// Target is the name of the target.
	Target string `json:"target"`
	// Error in short.
	Error string `json:"error"`
}

// RuntimeList is a list of reports.
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

// New returns an empty report. Lists are empty, never null, so that programs that
// read the JSON need not distinguish the two.
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

// NewList returns a list of reports.
func NewList(items []Runtime) *RuntimeList {
	if items == nil {
		items = []Runtime{}
	}
	return &RuntimeList{TypeMeta: metav1.TypeMeta{APIVersion: APIVersion, Kind: RuntimeListKind}, Items: items}
}
