package plan

import "github.com/jindo-io/jindo/pkg/topology"

// Topology returns the topology of the planned masters and workers, without masters that
// are being removed, with the schedule of snapshots. hosts returns the address or DNS name of each instance.
func (p *Plan) Topology(clusterID string, hosts func(c *Component, ordinal int) string) topology.Topology {
	r := topology.Topology{Namespace: p.Namespace, Name: p.Name, ClusterID: clusterID, Snapshots: p.Snapshots}
	r.Masters = members(p.Masters, hosts)
	r.Workers = members(p.Workers, hosts)
	return r
}

func members(c *Component, hosts func(c *Component, ordinal int) string) []topology.Member {
	if c == nil {
		return nil
	}
	members := make([]topology.Member, 0, c.ListedInstances())
	for i := range int(c.ListedInstances()) {
		members = append(members, topology.Member{
			Name: c.InstanceName(i), Host: hosts(c, i),
			Port: c.Port(PortRPC), RaftPort: c.Port(PortRaft), HealthPort: c.Port(PortHealth),
		})
	}
	return members
}
