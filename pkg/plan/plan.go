// Package plan derives the components to run from a Dataset and a JindoRuntime:
// their arguments, ports and volumes, the mounts, and the credentials of each.
//
// Executors render a plan as processes on one machine or as Kubernetes objects, so
// both run the same components with the same configuration. The package is pure: it
// reads no file, clock or network, and equal inputs result in equal plans.
//
// Arguments, environment variables and volumes contain variables of the form
// $(NAME), whose values are known to the executor only; see the Var constants.
// Credentials occur only in [Credentials] and are hidden when a plan is printed.
package plan

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Variables in arguments and environment variables. The executor replaces $(NAME).
const (
	// VarPodName is the name of the instance: hadoop-jindofs-master-0.
	VarPodName = "POD_NAME"
	// VarPodIP is the address that the instance listens on.
	VarPodIP = "POD_IP"
	// VarConfig is the directory that contains roster.json.
	VarConfig = "JINDO_CONFIG"
	// VarTLS is the directory with the certificate of the instance and the CA.
	VarTLS = "JINDO_TLS"
	// VarData is the directory of the instance, which persists across restarts.
	VarData = "JINDO_DATA"
	// VarCredentials is the directory with a subdirectory for each SecretRef.
	VarCredentials = "JINDO_CREDENTIALS"
	// VarTierPrefix followed by a number is the directory of one path of a tier:
	// JINDO_TIER_0.
	VarTierPrefix = "JINDO_TIER_"
	// VarSockets is the directory for the sockets through which workers pass file
	// descriptors. All instances on a host share it.
	VarSockets = "JINDO_SOCKETS"
	// VarSession is the path of the socket through which the holder of the mount
	// passes the FUSE file descriptor.
	VarSession = "JINDO_SESSION"
	// VarFormed is "true" once the masters have formed a cluster, and "false"
	// before.
	VarFormed = "JINDO_FORMED"
)

// Ref returns a reference to a variable: $(NAME).
func Ref(variable string) string { return "$(" + variable + ")" }

// RosterFile is the name of the topology file in the directory VarConfig.
const RosterFile = "roster.json"

// Plan describes the components of one runtime.
type Plan struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Dataset is the name of the Dataset that the runtime serves; empty if it
	// serves none.
	Dataset string `json:"dataset,omitempty"`
	// Unbound explains why the runtime serves no Dataset and what to change; empty
	// if it serves one.
	Unbound string `json:"unbound,omitempty"`
	// Masters, Workers and Fuse are nil when they are disabled.
	Masters *Component `json:"masters,omitempty"`
	Workers *Component `json:"workers,omitempty"`
	Fuse    *Component `json:"fuse,omitempty"`
	// Mounts are in the order of the Dataset, without those that cannot be served.
	Mounts []Mount `json:"mounts,omitempty"`
	// Problems are the mounts that cannot be served.
	Problems []MountProblem `json:"problems,omitempty"`
	// Credentials of the mounts that require some, in the order of Mounts.
	Credentials []Credentials `json:"credentials,omitempty"`
	// Snapshots is the schedule of snapshots of the masters' state; nil for none. If one
	// is declared that cannot be carried out, SnapshotsProblem is the reason.
	Snapshots        *topology.SnapshotSchedule `json:"snapshots,omitempty"`
	SnapshotsProblem string                     `json:"snapshotsProblem,omitempty"`
	// RetiredSecretRefs are credentials that are kept as they are.
	RetiredSecretRefs []string `json:"retiredSecretRefs,omitempty"`
	// CredentialsRevision is what workers report when they have read the credentials;
	// 0 if that is not awaited.
	CredentialsRevision int64 `json:"credentialsRevision,omitempty"`
	// FuseOptions are the options of the FUSE mount.
	FuseOptions FuseOptions `json:"fuseOptions"`
	// Warnings are about fields that are accepted and have no effect.
	Warnings []string `json:"warnings,omitempty"`
}

// Role is the role of a component.
type Role string

// Roles of components. Certificates have the same roles.
const (
	RoleMaster Role = "master"
	RoleWorker Role = "worker"
	RoleFuse   Role = "fuse"
)

// Component is a set of identical processes of a runtime.
type Component struct {
	// Name of the component: hadoop-jindofs-master.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Replicas is the number of instances. It is 1 for FUSE servers, of which one
	// runs on each machine that needs the mount.
	Replicas int32 `json:"replicas"`
	// Listed is set while the number of masters changes: the topology lists the first
	// instances, this many; see [Plan.ListMasters].
	Listed int32 `json:"listed,omitempty"`
	// Binary to run: master, worker or fuse.
	Binary string `json:"binary"`
	// Args may contain variables: --name=$(POD_NAME).
	Args []string `json:"args"`
	// Env is sorted by name.
	Env     []EnvVar `json:"env,omitempty"`
	Ports   []Port   `json:"ports"`
	Volumes []Volume `json:"volumes"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Port is a port that instances listen on.
type Port struct {
	// Name of the port: rpc, raft or health.
	Name string `json:"name"`
	Port int    `json:"port"`
}

// Volume is a file or directory whose path is the value of a variable.
type Volume struct {
	// Name is unique in the component: data, tier-0.
	Name string `json:"name"`
	// Variable is the name of the variable that holds the path.
	Variable string     `json:"variable"`
	Kind     VolumeKind `json:"kind"`
	ReadOnly bool       `json:"readOnly,omitempty"`
	// Tier is set for volumes of the kind VolumeTier only.
	Tier *Tier `json:"tier,omitempty"`
}

// VolumeKind determines the content of a volume and which instances share it.
type VolumeKind string

// Kinds of volumes.
const (
	// VolumeConfig contains the topology. All instances share it.
	VolumeConfig VolumeKind = "config"
	// VolumeTLS contains the certificate of the instance.
	VolumeTLS VolumeKind = "tls"
	// VolumeData belongs to one instance and must persist across restarts.
	VolumeData VolumeKind = "data"
	// VolumeTier contains the cache of one instance. It may be lost.
	VolumeTier VolumeKind = "tier"
	// VolumeCredentials contains credential files, which may change.
	VolumeCredentials VolumeKind = "credentials"
	// VolumeSockets is shared by the workers and FUSE servers of one host.
	VolumeSockets VolumeKind = "sockets"
	// VolumeSession is the socket of the holder of the mount.
	VolumeSession VolumeKind = "session"
)

// Tier is one path of a tier.
type Tier struct {
	Medium v1alpha1.MediumType `json:"medium"`
	// VolumeType is the type of volume that provides the path.
	VolumeType v1alpha1.VolumeType `json:"volumeType"`
	// Path as written in the runtime. The executor for one machine uses another
	// directory instead.
	Path string `json:"path"`
	// Quota is in bytes.
	Quota int64 `json:"quota"`
	// High and Low are fractions of the quota: 0 < Low < High <= 1.
	High float64 `json:"high"`
	Low  float64 `json:"low"`
}

// InstanceName returns the name of an instance: hadoop-jindofs-master-0.
func (c *Component) InstanceName(ordinal int) string { return fmt.Sprintf("%s-%d", c.Name, ordinal) }

// Port returns the number of the named port, or 0 if there is no such port.
func (c *Component) Port(name string) int {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.Port
		}
	}
	return 0
}

// Components returns the components that are not disabled: masters, workers, fuse.
func (p *Plan) Components() []*Component {
	var components []*Component
	for _, c := range []*Component{p.Masters, p.Workers, p.Fuse} {
		if c != nil {
			components = append(components, c)
		}
	}
	return components
}

// FuseOnly reports whether the runtime has no masters and workers, so that nothing
// gives its FUSE servers their mounts.
func (p *Plan) FuseOnly() bool { return p.Masters == nil && p.Workers == nil && p.Fuse != nil }
