// Package topology says who belongs to a runtime and where they listen: the one
// static file that every component and client starts from.
//
// A roster is configuration, written by an executor (a ConfigMap on
// Kubernetes, a file on one machine). It is not membership: which masters vote
// is Raft's to say, and which workers own what is the ring's.
package topology

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
)

// Ports that components listen on unless the roster says otherwise.
const (
	MasterPort = 18004
	WorkerPort = 18005
	RaftPort   = 18006
	HealthPort = 18008
)

// Roster of one runtime.
type Roster struct {
	// Namespace and Name of the JindoRuntime.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// ClusterID is minted once by whoever starts the runtime.
	ClusterID string   `json:"clusterID"`
	Masters   []Member `json:"masters"`
	Workers   []Member `json:"workers"`
}

// Member is one master or worker.
type Member struct {
	// Name is stable: "hadoop-jindofs-master-0".
	Name string `json:"name"`
	// Host is a DNS name, resolved at every dial, or an address.
	Host string `json:"host"`
	// Port of gRPC (masters) or of HTTP and gRPC (workers).
	Port int `json:"port"`
	// RaftPort of a master.
	RaftPort int `json:"raftPort,omitempty"`
	// HealthPort serves health checks and metrics.
	HealthPort int `json:"healthPort,omitempty"`
}

// Address to dial: host:port.
func (m Member) Address() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// RaftAddress to dial: host:port.
func (m Member) RaftAddress() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.RaftPort)) }

// Master finds a master by name.
func (r Roster) Master(name string) (Member, bool) { return find(r.Masters, name) }

// Worker finds a worker by name.
func (r Roster) Worker(name string) (Member, bool) { return find(r.Workers, name) }

func find(members []Member, name string) (Member, bool) {
	for _, m := range members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Load reads the roster in a file. The error names the file and what is wrong
// with it.
func Load(path string) (Roster, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Roster{}, fmt.Errorf("reading roster: %w", err)
	}
	var r Roster
	if err := json.Unmarshal(raw, &r); err != nil {
		return Roster{}, fmt.Errorf("reading roster %s: %w", path, err)
	}
	if err := r.Validate(); err != nil {
		return Roster{}, fmt.Errorf("reading roster %s: %w", path, err)
	}
	return r, nil
}

// Validate reports the first thing that makes a roster unusable.
func (r Roster) Validate() error {
	if r.Name == "" {
		return fmt.Errorf("it names no runtime: set name")
	}
	seen := map[string]bool{}
	for _, m := range append(append([]Member{}, r.Masters...), r.Workers...) {
		switch {
		case m.Name == "":
			return fmt.Errorf("a member has no name")
		case seen[m.Name]:
			return fmt.Errorf("member %s is there twice", m.Name)
		case m.Host == "":
			return fmt.Errorf("member %s has no host", m.Name)
		case m.Port < 1 || m.Port > 65535:
			return fmt.Errorf("member %s has port %d, which is not within 1 to 65535", m.Name, m.Port)
		}
		seen[m.Name] = true
	}
	return nil
}

// Marshal writes a roster as its file has it.
func (r Roster) Marshal() ([]byte, error) {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding roster: %w", err)
	}
	return append(raw, '\n'), nil
}
