// Package plan turns what a person wrote, a Dataset and a JindoRuntime, into
// what has to run: components with their arguments, ports and volumes, the
// mounts, and which credentials go where.
//
// A plan is one value that every executor renders: processes on one machine, or
// objects of Kubernetes. So nothing is configured twice, and both run the same
// thing. The package is pure: it reads no file, no clock, no network, and equal
// inputs give equal plans.
//
// Arguments, environment and volumes hold variables, written $(NAME), whose
// values only the executor knows; see the Var constants. A plan holds no
// credential outside [Credentials], and prints none.
package plan

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Variables in arguments and environment. The executor replaces $(NAME).
const (
	// VarPodName is the instance's name: hadoop-jindofs-master-0.
	VarPodName = "POD_NAME"
	// VarPodIP is the address that the instance listens on.
	VarPodIP = "POD_IP"
	// VarConfig is the directory that holds roster.json.
	VarConfig = "JINDO_CONFIG"
	// VarTLS is the directory with the instance's certificate and the CA.
	VarTLS = "JINDO_TLS"
	// VarData is the instance's own directory, kept across restarts.
	VarData = "JINDO_DATA"
	// VarCredentials is the directory with one directory for each SecretRef.
	VarCredentials = "JINDO_CREDENTIALS"
	// VarTierPrefix and a number name the directory of one tier path:
	// JINDO_TIER_0.
	VarTierPrefix = "JINDO_TIER_"
	// VarSockets is the directory, shared by all instances of a host, where
	// workers hand out files.
	VarSockets = "JINDO_SOCKETS"
	// VarSession is the path of the socket where the holder of the mount hands
	// over its descriptors.
	VarSession = "JINDO_SESSION"
	// VarFormed is true once the masters have formed a cluster, else false.
	VarFormed = "JINDO_FORMED"
)

// Ref writes a variable as arguments have it: $(NAME).
func Ref(variable string) string { return "$(" + variable + ")" }

// RosterFile is the roster's name in the directory VarConfig.
const RosterFile = "roster.json"

// Plan of one runtime.
type Plan struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Dataset that the runtime serves; empty when it serves none.
	Dataset string `json:"dataset,omitempty"`
	// Unbound says, for people, why the runtime serves no Dataset and what to
	// write; empty when it serves one.
	Unbound string `json:"unbound,omitempty"`
	// Masters, Workers and Fuse are nil when they are disabled.
	Masters *Component `json:"masters,omitempty"`
	Workers *Component `json:"workers,omitempty"`
	Fuse    *Component `json:"fuse,omitempty"`
	// Mounts in the order of the Dataset, those that cannot be served left out.
	Mounts []Mount `json:"mounts,omitempty"`
	// Problems are the mounts that cannot be served.
	Problems []MountProblem `json:"problems,omitempty"`
	// Credentials of the mounts that need some, in the order of Mounts.
	Credentials []Credentials `json:"credentials,omitempty"`
	// FuseOptions are what the mount itself is made with.
	FuseOptions FuseOptions `json:"fuseOptions"`
	// HostNetwork: the pods use their nodes' network.
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// Warnings are about what was accepted but does nothing.
	Warnings []string `json:"warnings,omitempty"`
}

// Role of a component.
type Role string

// Roles, which are also the roles of certificates.
const (
	RoleMaster Role = "master"
	RoleWorker Role = "worker"
	RoleFuse   Role = "fuse"
)

// Component is one kind of process of a runtime, in one or more instances.
type Component struct {
	// Name of the component: hadoop-jindofs-master.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Replicas wanted. A mount runs once on every machine that needs it; its
	// Replicas is 1.
	Replicas int32 `json:"replicas"`
	// Binary to run: master, worker or fuse.
	Binary string `json:"binary"`
	// Args with variables, each one word: --name=$(POD_NAME).
	Args []string `json:"args"`
	// Env in the order of names.
	Env     []EnvVar `json:"env,omitempty"`
	Ports   []Port   `json:"ports"`
	Volumes []Volume `json:"volumes"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Port that instances listen on.
type Port struct {
	// Name of what is served: rpc, raft, health.
	Name string `json:"name"`
	Port int    `json:"port"`
}

// Volume is a file or directory that instances find through a variable.
type Volume struct {
	// Name is unique in the component: data, tier-0.
	Name string `json:"name"`
	// Variable whose value is the path.
	Variable string     `json:"variable"`
	Kind     VolumeKind `json:"kind"`
	ReadOnly bool       `json:"readOnly,omitempty"`
	// Tier of a volume of kind tier.
	Tier *Tier `json:"tier,omitempty"`
}

// VolumeKind says what is in a volume and who else sees it.
type VolumeKind string

// Kinds of volumes.
const (
	// VolumeConfig holds the roster; the same for all instances.
	VolumeConfig VolumeKind = "config"
	// VolumeTLS holds the instance's own certificate.
	VolumeTLS VolumeKind = "tls"
	// VolumeData is the instance's own and must survive restarts.
	VolumeData VolumeKind = "data"
	// VolumeTier is the instance's own cache; it may be lost.
	VolumeTier VolumeKind = "tier"
	// VolumeCredentials holds files of credentials, which may change.
	VolumeCredentials VolumeKind = "credentials"
	// VolumeSockets is shared by the workers and mounts of one host.
	VolumeSockets VolumeKind = "sockets"
	// VolumeSession is the socket of the mount's holder.
	VolumeSession VolumeKind = "session"
)

// Tier is one path of a tier.
type Tier struct {
	Medium v1alpha1.MediumType `json:"medium"`
	// VolumeType is how the path gets into a pod.
	VolumeType v1alpha1.VolumeType `json:"volumeType"`
	// Path as the person wrote it. An executor for one machine uses a directory
	// of its own instead.
	Path string `json:"path"`
	// Quota in bytes.
	Quota int64 `json:"quota"`
	// High and Low are parts of the quota: 0 < Low < High <= 1.
	High float64 `json:"high"`
	Low  float64 `json:"low"`
}

// InstanceName of one instance: hadoop-jindofs-master-0.
func (c *Component) InstanceName(ordinal int) string { return fmt.Sprintf("%s-%d", c.Name, ordinal) }

// Port answers the number of the port of that name, 0 when there is none.
func (c *Component) Port(name string) int {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.Port
		}
	}
	return 0
}

// Components that are not disabled: masters, workers, fuse.
func (p *Plan) Components() []*Component {
	var components []*Component
	for _, c := range []*Component{p.Masters, p.Workers, p.Fuse} {
		if c != nil {
			components = append(components, c)
		}
	}
	return components
}

// FuseOnly holds for a runtime without masters and workers, whose mounts read
// the store themselves.
func (p *Plan) FuseOnly() bool { return p.Masters == nil && p.Workers == nil && p.Fuse != nil }
