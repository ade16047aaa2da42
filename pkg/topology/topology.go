// Package topology holds the names and addresses of a runtime's masters and
// workers: the one static file that every component and client starts from.
//
// A topology is configuration, written by an executor (a ConfigMap on
// Kubernetes, a file on one machine). It is not membership: Raft decides which
// masters vote, and the ring decides which worker owns a key.
package topology

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
)

// Ports that components listen on by default.
const (
	MasterPort = 18004
	WorkerPort = 18005
	RaftPort   = 18006
	HealthPort = 18008
)

// Topology lists the masters and workers of one runtime.
type Topology struct {
	// Namespace and Name are those of the JindoRuntime.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// ClusterID is generated once, by the executor that first starts the runtime.
	ClusterID string   `json:"clusterID"`
	Masters   []Member `json:"masters"`
	Workers   []Member `json:"workers"`
	// Snapshots is the schedule of snapshots of the masters' state; nil for none.
	Snapshots *SnapshotSchedule `json:"snapshots,omitempty"`
}

// Member is one master or worker.
type Member struct {
	// Name is stable across restarts, for example "hadoop-jindofs-master-0".
	Name string `json:"name"`
	// Host is a DNS name, which is resolved at every dial, or an IP address.
	Host string `json:"host"`
	// Port serves gRPC on masters, and HTTP and gRPC on workers.
	Port int `json:"port"`
	// RaftPort serves Raft. Only masters have one.
	RaftPort int `json:"raftPort,omitempty"`
	// HealthPort serves health checks and metrics.
	HealthPort int `json:"healthPort,omitempty"`
}

// Address returns the host:port to dial for gRPC.
func (m Member) Address() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// RaftAddress returns the host:port to dial for Raft.
func (m Member) RaftAddress() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.RaftPort)) }

// Master returns the master with the given name.
func (t Topology) Master(name string) (Member, bool) { return find(t.Masters, name) }

// Worker returns the worker with the given name.
func (t Topology) Worker(name string) (Member, bool) { return find(t.Workers, name) }

// Hosts returns the hosts of all members.
func (t Topology) Hosts() []string {
	var hosts []string
	for _, m := range slices.Concat(t.Masters, t.Workers) {
		hosts = append(hosts, m.Host)
	}
	return hosts
}

func find(members []Member, name string) (Member, bool) {
	for _, m := range members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Load reads and validates the topology in a file. Its errors name the file.
func Load(path string) (Topology, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Topology{}, fmt.Errorf("read topology: %w", err)
	}
	var t Topology
	if err := json.Unmarshal(raw, &t); err != nil {
		return Topology{}, fmt.Errorf("read topology %s: %w", path, err)
	}
	if err := t.Validate(); err != nil {
		return Topology{}, fmt.Errorf("read topology %s: %w", path, err)
	}
	return t, nil
}

// Validate returns an error that describes the first invalid field.
func (t Topology) Validate() error {
	if t.Name == "" {
		return fmt.Errorf("runtime name is empty: set name")
	}
	seen := map[string]bool{}
	for _, m := range append(append([]Member{}, t.Masters...), t.Workers...) {
		switch {
		case m.Name == "":
			return fmt.Errorf("member without a name: set name")
		case seen[m.Name]:
			return fmt.Errorf("duplicate member %s", m.Name)
		case m.Host == "":
			return fmt.Errorf("member %s: host is empty", m.Name)
		case m.Port < 1 || m.Port > 65535:
			return fmt.Errorf("member %s: invalid port %d: must be 1 to 65535", m.Name, m.Port)
		}
		seen[m.Name] = true
	}
	if t.Snapshots != nil {
		return t.Snapshots.Validate()
	}
	return nil
}

// Marshal returns the contents of the file that Load reads.
func (t Topology) Marshal() ([]byte, error) {
	raw, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode topology: %w", err)
	}
	return append(raw, '\n'), nil
}
