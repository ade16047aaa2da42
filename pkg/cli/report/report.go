// Package report is what commands know about a runtime, as a documented and
// versioned object: the screens are drawn from it, and -o json prints it.
//
// Fields are only ever added within cli.jindo.io/v1alpha1. Sizes are bytes,
// durations are seconds with fractions, times are RFC 3339.
package report

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
type Runtime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Collected is when the targets were asked.
	Collected time.Time `json:"collected"`
	// Where it runs, for people: "this machine, 127.93.12.0/24".
	Where string `json:"where,omitempty"`
	// Version of the masters, or of whoever answered.
	Version string `json:"version,omitempty"`
	Health  Health `json:"health"`
	// Problems, a sentence each, worst first.
	Problems []string `json:"problems"`
	// Notes are sentences about what is no fault: a change that waits, a pod that
	// was restarted, what could not be looked at and why.
	Notes []string `json:"notes"`
	// Created is when the JindoRuntime, or a Dataset that none serves, was made in
	// a cluster.
	Created *time.Time `json:"created,omitempty"`
	// Asked is true when the members were asked themselves, and false when this is
	// what the cluster's objects say of them.
	Asked bool `json:"asked"`
	// Unserved is true for a Dataset that no runtime serves; metadata.name is its
	// name then.
	Unserved bool `json:"unserved,omitempty"`

	Dataset Dataset  `json:"dataset"`
	Masters []Master `json:"masters"`
	Workers []Worker `json:"workers"`
	Cache   Cache    `json:"cache"`
	Mounts  []Mount  `json:"mounts"`
	Fuses   []Fuse   `json:"fuses"`
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
	Name  string `json:"name,omitempty"`
	Phase string `json:"phase"`
	// Message says what to write when none is bound.
	Message string `json:"message,omitempty"`
	// Objects and Bytes in the stores of all mounts, as far as they are known; in a
	// cluster the bytes are rounded.
	Objects *int64 `json:"objects,omitempty"`
	Bytes   *int64 `json:"bytes,omitempty"`
}

// Pod that something runs in.
type Pod struct {
	Name string `json:"name"`
	Node string `json:"node,omitempty"`
	IP   string `json:"ip,omitempty"`
	// State in the word that kubectl prints: Running, Pending, OOMKilled.
	State string `json:"state"`
	Ready bool   `json:"ready"`
	// Reason is what keeps it from being ready, for people.
	Reason   string     `json:"reason,omitempty"`
	Restarts int        `json:"restarts"`
	Created  *time.Time `json:"created,omitempty"`
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
	Time *time.Time `json:"time,omitempty"`
	// Type is Normal or Warning.
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Object  string `json:"object"`
	Message string `json:"message"`
	Count   int    `json:"count"`
}

// Master as it says of itself; only Name, Address and Error are set when it
// does not answer.
type Master struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// RaftAddress as host:port.
	RaftAddress string `json:"raftAddress,omitempty"`
	MemberID    string `json:"memberID,omitempty"`
	// State is LEADER, FOLLOWER, CANDIDATE, SHUTDOWN, JOINING or UNREACHABLE.
	State string `json:"state"`
	Voter bool   `json:"voter"`
	Ready bool   `json:"ready"`
	Term  uint64 `json:"term,omitempty"`
	// Leader as this member believes.
	Leader             string     `json:"leader,omitempty"`
	LeaderSince        *time.Time `json:"leaderSince,omitempty"`
	LastLogIndex       uint64     `json:"lastLogIndex,omitempty"`
	CommitIndex        uint64     `json:"commitIndex,omitempty"`
	AppliedIndex       uint64     `json:"appliedIndex,omitempty"`
	SnapshotIndex      uint64     `json:"snapshotIndex,omitempty"`
	SnapshotTime       *time.Time `json:"snapshotTime,omitempty"`
	ConfigurationIndex uint64     `json:"configurationIndex,omitempty"`
	// Peers are the members of the configuration this member has.
	Peers []Peer `json:"peers,omitempty"`
	// ContactSeconds since it heard from the leader; absent on the leader.
	ContactSeconds  *float64   `json:"contactSeconds,omitempty"`
	RTTSeconds      *float64   `json:"rttSeconds,omitempty"`
	FsyncP99Seconds *float64   `json:"fsyncP99Seconds,omitempty"`
	LogEntries      uint64     `json:"logEntries,omitempty"`
	LogBytes        uint64     `json:"logBytes,omitempty"`
	Digests         []Digest   `json:"digests,omitempty"`
	Started         *time.Time `json:"started,omitempty"`
	Version         string     `json:"version,omitempty"`
	Pod             *Pod       `json:"pod,omitempty"`
	Error           string     `json:"error,omitempty"`
}

// Peer is a member of a Raft configuration.
type Peer struct {
	Name     string `json:"name"`
	MemberID string `json:"memberID"`
	Address  string `json:"address"`
	Voter    bool   `json:"voter"`
}

// Digest of the replicated state at an index.
type Digest struct {
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
}

// Worker as it says of itself.
type Worker struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Registered in the ring.
	Registered bool       `json:"registered"`
	Live       bool       `json:"live"`
	Draining   bool       `json:"draining,omitempty"`
	RingEpoch  uint64     `json:"ringEpoch,omitempty"`
	ViewIndex  uint64     `json:"viewIndex,omitempty"`
	Tiers      []Tier     `json:"tiers,omitempty"`
	Hits       uint64     `json:"hits"`
	Misses     uint64     `json:"misses"`
	HitBytes   uint64     `json:"hitBytes"`
	MissBytes  uint64     `json:"missBytes"`
	StoreBytes uint64     `json:"storeBytes"`
	Started    *time.Time `json:"started,omitempty"`
	Version    string     `json:"version,omitempty"`
	Pod        *Pod       `json:"pod,omitempty"`
	Error      string     `json:"error,omitempty"`
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
	Capacity uint64 `json:"capacity"`
	Used     uint64 `json:"used"`
	Tiers    []Tier `json:"tiers"`
	// HitRatio of bytes since the workers started; absent before a first read.
	HitRatio   *float64 `json:"hitRatio,omitempty"`
	HitBytes   uint64   `json:"hitBytes"`
	MissBytes  uint64   `json:"missBytes"`
	StoreBytes uint64   `json:"storeBytes"`
}

// Mount of an under-storage into the tree.
type Mount struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	URI      string `json:"uri"`
	ReadOnly bool   `json:"readOnly"`
	// Objects and Bytes of the last complete listing; absent while unknown.
	Objects *int64 `json:"objects,omitempty"`
	Bytes   *int64 `json:"bytes,omitempty"`
	Epoch   uint64 `json:"epoch"`
	// Error is what the store last refused, as some worker saw it.
	Error string `json:"error,omitempty"`
}

// Fuse is one mount point and its server.
type Fuse struct {
	Name       string     `json:"name"`
	Mountpoint string     `json:"mountpoint"`
	Ready      bool       `json:"ready"`
	Starts     int        `json:"starts"`
	Since      *time.Time `json:"since,omitempty"`
	Pod        *Pod       `json:"pod,omitempty"`
	Error      string     `json:"error,omitempty"`
}

// Failure is a target that did not answer.
type Failure struct {
	Target string `json:"target"`
	Error  string `json:"error"`
}

// RuntimeList is several reports.
type RuntimeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Runtime `json:"items"`
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
		Collected:  now.UTC(),
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

// DeepCopyObject implements runtime.Object. Reports are never changed once
// they are collected, so the copy shares what the original points to.
func (r *Runtime) DeepCopyObject() runtime.Object {
	c := *r
	return &c
}

// GetObjectKind implements runtime.Object.
func (r *Runtime) GetObjectKind() schema.ObjectKind { return &r.TypeMeta }

// DeepCopyObject implements runtime.Object, as Runtime does.
func (l *RuntimeList) DeepCopyObject() runtime.Object {
	c := *l
	return &c
}

// GetObjectKind implements runtime.Object.
func (l *RuntimeList) GetObjectKind() schema.ObjectKind { return &l.TypeMeta }
