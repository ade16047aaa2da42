package plan

import (
	"fmt"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Names of ports.
const (
	PortRPC    = "rpc"
	PortRaft   = "raft"
	PortHealth = "health"
)

// timeouts are the Raft timeouts of the masters.
type timeouts struct{ heartbeat, election, lease time.Duration }

// electionTimeouts returns longer timeouts if the CPU is limited, because CPU
// throttling may pause the process for tenths of a second.
func electionTimeouts(cpuLimited bool) timeouts {
	if cpuLimited {
		return timeouts{500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond}
	}
	return timeouts{250 * time.Millisecond, 250 * time.Millisecond, 200 * time.Millisecond}
}

func masters(runtime *v1alpha1.JindoRuntime) *Component {
	spec := runtime.Spec.Master
	t := electionTimeouts(!spec.Resources.Limits.Cpu().IsZero())
	return &Component{
		Name:     componentName(runtime, RoleMaster),
		Role:     RoleMaster,
		Replicas: *spec.Replicas,
		Binary:   string(RoleMaster),
		Args: append(commonArgs(),
			"--data-dir="+Ref(VarData),
			listen("listen", topology.MasterPort),
			listen("raft-listen", topology.RaftPort),
			listen("health-listen", topology.HealthPort),
			"--formed="+Ref(VarFormed),
			"--heartbeat-timeout="+t.heartbeat.String(),
			"--election-timeout="+t.election.String(),
			"--lease-timeout="+t.lease.String(),
		),
		Env: environment(spec.Env),
		Ports: []Port{
			{PortRPC, topology.MasterPort}, {PortRaft, topology.RaftPort}, {PortHealth, topology.HealthPort},
		},
		Volumes: append(commonVolumes(), dataVolume()),
	}
}

func workers(runtime *v1alpha1.JindoRuntime) (*Component, error) {
	tiers, err := tiers(runtime.Spec.TieredStore)
	if err != nil {
		return nil, err
	}
	c := &Component{
		Name:     componentName(runtime, RoleWorker),
		Role:     RoleWorker,
		Replicas: *runtime.Spec.Replicas,
		Binary:   string(RoleWorker),
		Args:     append(commonArgs(), "--data-dir="+Ref(VarData)),
		Env:      environment(runtime.Spec.Worker.Env),
		Ports:    []Port{{PortRPC, topology.WorkerPort}, {PortHealth, topology.HealthPort}},
		Volumes:  append(commonVolumes(), dataVolume()),
	}
	for i, tier := range tiers {
		variable := VarTierPrefix + strconv.Itoa(i)
		c.Args = append(c.Args, fmt.Sprintf("--tier=%s:%s:%d:%v:%v", tier.Medium, Ref(variable), tier.Quota, tier.High, tier.Low))
		c.Volumes = append(c.Volumes, Volume{Name: "tier-" + strconv.Itoa(i), Variable: variable, Kind: VolumeTier, Tier: &tier})
	}
	c.Args = append(c.Args,
		"--credentials-dir="+Ref(VarCredentials),
		"--socket-dir="+Ref(VarSockets),
		listen("listen", topology.WorkerPort),
		listen("health-listen", topology.HealthPort),
	)
	c.Volumes = append(c.Volumes, credentialsVolume(), socketsVolume(false))
	return c, nil
}

func fuse(runtime *v1alpha1.JindoRuntime, options FuseOptions) *Component {
	spec := runtime.Spec.Fuse
	c := &Component{
		Name:     componentName(runtime, RoleFuse),
		Role:     RoleFuse,
		Replicas: 1,
		Binary:   string(RoleFuse),
		Args: append(commonArgs(),
			"--state-dir="+Ref(VarData),
			"--session-socket="+Ref(VarSession),
			"--socket-dir="+Ref(VarSockets),
		),
		Env:   environment(spec.Env),
		Ports: []Port{{PortHealth, topology.HealthPort}},
		Volumes: append(commonVolumes(), dataVolume(), socketsVolume(true),
			Volume{Name: "session", Variable: VarSession, Kind: VolumeSession}),
	}
	// FUSE servers have credentials only if there are no workers to read from.
	if runtime.Spec.Worker.Disabled {
		c.Args = append(c.Args, "--credentials-dir="+Ref(VarCredentials))
		c.Volumes = append(c.Volumes, credentialsVolume())
	}
	c.Args = append(c.Args, listen("health-listen", topology.HealthPort))
	c.Args = append(c.Args, options.args()...)
	return c
}

// tiers returns the paths of all levels, in order.
func tiers(store v1alpha1.TieredStore) ([]Tier, error) {
	var tiers []Tier
	for i, level := range store.Levels {
		high, low, err := level.Watermarks()
		if err != nil {
			return nil, fmt.Errorf("parse level %d: %w", i, err)
		}
		paths, err := level.TierPaths()
		if err != nil {
			return nil, fmt.Errorf("parse level %d: %w", i, err)
		}
		for _, p := range paths {
			tiers = append(tiers, Tier{
				Medium: level.MediumType, VolumeType: level.VolumeType,
				Path: p.Path, Quota: p.Quota, High: high, Low: low,
			})
		}
	}
	return tiers, nil
}

func componentName(runtime *v1alpha1.JindoRuntime, role Role) string {
	return fmt.Sprintf("%s-jindofs-%s", runtime.Name, role)
}

// commonArgs returns the arguments of every component. The caller may append to
// the result.
func commonArgs() []string {
	return []string{
		"--name=" + Ref(VarPodName),
		"--roster=" + Ref(VarConfig) + "/" + RosterFile,
		"--tls-dir=" + Ref(VarTLS),
	}
}

func listen(flag string, port int) string {
	return fmt.Sprintf("--%s=%s:%d", flag, Ref(VarPodIP), port)
}

func commonVolumes() []Volume {
	return []Volume{
		{Name: "config", Variable: VarConfig, Kind: VolumeConfig, ReadOnly: true},
		{Name: "tls", Variable: VarTLS, Kind: VolumeTLS, ReadOnly: true},
	}
}

func dataVolume() Volume { return Volume{Name: "data", Variable: VarData, Kind: VolumeData} }

func credentialsVolume() Volume {
	return Volume{Name: "credentials", Variable: VarCredentials, Kind: VolumeCredentials, ReadOnly: true}
}

func socketsVolume(readOnly bool) Volume {
	return Volume{Name: "sockets", Variable: VarSockets, Kind: VolumeSockets, ReadOnly: readOnly}
}
