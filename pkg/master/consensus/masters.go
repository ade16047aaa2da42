package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/topology"
)

// ErrUnlisted reports that the topology does not list a master, and that its disk
// does not hold a member that might still be needed. It may be opened once it is
// listed.
var ErrUnlisted = errors.New("this master is not a master of the topology, and its disk holds no member of the cluster: it may be removed")

// masters holds the topology, which may change while a member runs, and the
// addresses of masters that it listed before: those stay members until the leader
// has removed them, and are needed for a majority until then, also after a restart.
// It is safe for concurrent use.
type masters struct {
	// path is the file of known.
	path string

	mu     sync.Mutex
	listed topology.Topology
	// known holds every master that is listed or was.
	known map[string]topology.Member
	// changed is sent when the topology has changed.
	changed broadcast
}

// mastersFile is the content of the file.
type mastersFile struct {
	Masters []topology.Member `json:"masters"`
}

// openMasters reads the masters that were listed before. A file that cannot be read
// is an error, together with what the topology lists, which can be used.
func openMasters(path string, listed topology.Topology) (*masters, error) {
	m := &masters{path: path, listed: listed, known: map[string]topology.Member{}}
	raw, err := os.ReadFile(path)
	var file mastersFile
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err == nil {
		for _, member := range file.Masters {
			m.known[member.Name] = member
		}
	}
	for _, member := range listed.Masters {
		m.known[member.Name] = member
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("read the masters that were listed before: %w", err)
	}
	return m, nil
}

// topology returns the newest topology.
func (m *masters) topology() topology.Topology {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.listed
}

// lists reports whether the topology lists a master.
func (m *masters) lists(name string) bool {
	_, listed := m.topology().Master(name)
	return listed
}

// find returns a master that is listed or was.
func (m *masters) find(name string) (topology.Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	member, ok := m.known[name]
	return member, ok
}

func byName(a, b topology.Member) int { return strings.Compare(a.Name, b.Name) }

// set replaces the topology, and forgets masters that it does not list and for which
// needed returns false.
func (m *masters) set(next topology.Topology, needed func(name string) bool) error {
	m.mu.Lock()
	m.listed = next
	for _, member := range next.Masters {
		m.known[member.Name] = member
	}
	for name := range m.known {
		if _, listed := next.Master(name); !listed && !needed(name) {
			delete(m.known, name)
		}
	}
	err := m.save()
	m.mu.Unlock()
	m.changed.send()
	return err
}

// write makes the known masters durable.
func (m *masters) write() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.save()
}

// save writes the file unless it is current. The caller holds the lock.
func (m *masters) save() error {
	var file mastersFile
	for _, member := range m.known {
		file.Masters = append(file.Masters, member)
	}
	slices.SortFunc(file.Masters, byName)
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the masters of the topology: %w", err)
	}
	if on, err := os.ReadFile(m.path); err == nil && string(on) == string(raw) {
		return nil
	}
	if err := atomicfile.Write(m.path, raw, 0o600); err != nil {
		return fmt.Errorf("write the masters of the topology: %w", err)
	}
	return nil
}

// others returns the masters besides self that are listed, and those that were and
// for which needed returns true.
func (m *masters) others(self string, needed func(name string) bool) []topology.Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	var others, former []topology.Member
	for _, member := range m.listed.Masters {
		if member.Name != self {
			others = append(others, member)
		}
	}
	for name, member := range m.known {
		if _, listed := m.listed.Master(name); !listed && name != self && needed(name) {
			former = append(former, member)
		}
	}
	slices.SortFunc(former, byName)
	return append(others, former...)
}

// SetTopology replaces the topology. The leader then brings the members to the
// masters that it lists: see reconcile. Names and addresses of this member itself
// change only with a restart. A topology of another cluster, or without masters, is
// an error and changes nothing.
func (n *Node) SetTopology(next topology.Topology) error {
	switch {
	case next.ClusterID != n.config.ClusterID:
		return fmt.Errorf("change the topology: it is of cluster %q, not %q", next.ClusterID, n.config.ClusterID)
	case len(next.Masters) == 0:
		return errors.New("change the topology: it lists no masters")
	}
	if reflect.DeepEqual(next, n.Topology()) {
		return nil
	}
	var names []string
	for _, m := range next.Masters {
		names = append(names, m.Name)
	}
	n.logger.Info("the topology has changed", "masters", names)
	if err := n.masters.set(next, n.member); err != nil {
		n.logger.Warn("the addresses of masters are not on disk", "error", err)
	}
	return nil
}

// Topology returns the newest topology.
func (n *Node) Topology() topology.Topology { return n.masters.topology() }

// Admits reports whether a master may take part: it is listed in the topology, or
// still a member.
func (n *Node) Admits(name string) bool { return n.masters.lists(name) || n.member(name) }

// member reports whether a master is in the newest configuration. Before Raft is
// opened, every master may be.
func (n *Node) member(name string) bool {
	select {
	case <-n.opened:
	default:
		return true
	}
	return slices.ContainsFunc(n.servers(), func(s raft.Server) bool { return nameOf(string(s.ID)) == name })
}

// others returns the other masters: those of the topology, and those that are still
// members.
func (n *Node) others() []topology.Member { return n.masters.others(n.config.Name, n.member) }

// openTopology reads the masters that were listed before, and finds the own address.
func (n *Node) openTopology() error {
	var err error
	if n.masters, err = openMasters(n.dir.masters(), n.config.Topology); err != nil {
		n.logger.Warn("the addresses of former masters are lost", "error", err)
	}
	self, known := n.masters.find(n.config.Name)
	if !n.masters.lists(n.config.Name) {
		used, err := n.dir.inUse()
		if err != nil {
			return err
		}
		if !known || !used {
			return fmt.Errorf("%s: %w", n.config.Name, ErrUnlisted)
		}
	}
	n.self = self
	return nil
}
