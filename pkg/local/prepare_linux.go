package local

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
)

// prepare writes all files and takes the network. The orphan reaper is started
// before anything that it may have to remove.
func (s *supervisor) prepare() error {
	l := s.layout
	var err error
	if s.formation, err = loadFormation(l); err != nil {
		return err
	}
	for _, dir := range []string{l.logs(), l.sockets(), l.tls()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create %s: %w", dir, err)
		}
	}
	if s.log, err = openLog(l.Log("supervisor")); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	if masters := s.spec.Plan.Masters; masters != nil {
		s.planMasters(masters.Replicas)
	}
	if s.network, err = s.takeNetwork(); err != nil {
		return err
	}
	s.formation.Network = s.network.String()
	if err := s.formation.save(l); err != nil {
		return err
	}
	s.update(func(state *State) { state.Network = s.network.String() })
	if err := s.writeFiles(); err != nil {
		return err
	}
	s.spawner = newSpawner()
	return s.makeComponents()
}

// takeNetwork takes the network of the masters' log, or any free one while there
// is no log.
func (s *supervisor) takeNetwork() (*network, error) {
	want := ""
	if s.formation.Formed {
		want = s.formation.Network
	}
	return takeNetwork(want, s.layout)
}

// begin writes the first state, which includes the orphan reaper.
func (s *supervisor) begin() error {
	digest, err := s.spec.digest()
	if err != nil {
		return err
	}
	fixed, err := s.spec.fixedDigest()
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	s.state = State{
		Version: StateVersion, Namespace: s.layout.Namespace, Runtime: s.layout.Runtime,
		Dataset: s.spec.Plan.Dataset, Boot: boot, Supervisor: me, Phase: Starting,
		Started: time.Now().UTC(), Order: digest, Fixed: fixed,
		Components: []ComponentState{}, Conditions: []Condition{}, Notices: notices(&s.spec.Plan),
	}
	return s.newReaper()
}

func (s *supervisor) newReaper() error {
	g, err := startOrphanReaper(s.self, s.layout, s.spec.Root, s.log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.reaper = g
	s.mu.Unlock()
	return s.updateOrFail(func(state *State) { state.Reaper = g.id })
}

func notices(p *plan.Plan) []string {
	var notices []string
	if p.Unbound != "" {
		notices = append(notices, p.Unbound)
	}
	for _, problem := range p.Problems {
		notices = append(notices, fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message))
	}
	if p.SnapshotsProblem != "" {
		notices = append(notices, p.SnapshotsProblem)
	}
	return append(notices, p.Warnings...)
}

func (s *supervisor) writeFiles() error {
	if err := s.writeRoster(); err != nil {
		return err
	}
	var err error
	if s.authority, err = openAuthority(s.layout); err != nil {
		return err
	}
	if err := issueAll(s.layout, s.authority, s.identities()); err != nil {
		return err
	}
	return writeCredentials(s.layout, s.spec.Secrets)
}

// host returns the address of an instance.
func (s *supervisor) host(c *plan.Component, ordinal int) string {
	first := map[plan.Role]int{plan.RoleMaster: firstMaster, plan.RoleWorker: firstWorker, plan.RoleFuse: fuseHost}[c.Role]
	if c.Role == plan.RoleWorker && ordinal >= fuseHost-firstWorker {
		first = manyWorkers - (fuseHost - firstWorker)
	}
	return s.network.address(byte(first + ordinal))
}

func (s *supervisor) identities() []identityOf {
	identities := []identityOf{{component: Admin, role: mtls.Admin}}
	for _, c := range s.spec.components() {
		var grants []mtls.Grant
		if c.Role == plan.RoleFuse {
			// It opens stores itself only if there are no workers.
			grants = []mtls.Grant{{Path: "/", Store: s.spec.Plan.Workers == nil}}
		}
		for i := range int(c.Replicas) {
			identities = append(identities, identityOf{
				component: c.InstanceName(i), role: mtls.Role(c.Role), hosts: []string{s.host(c, i), c.InstanceName(i)}, grants: grants,
			})
		}
	}
	return identities
}

func (s *supervisor) makeComponents() error {
	var names []string
	for _, c := range s.spec.components() {
		if c.Role == plan.RoleWorker && int(c.Replicas) > maxWorkers {
			return fmt.Errorf("one machine runs at most %d workers, not %d", maxWorkers, c.Replicas)
		}
		for i := range int(c.Replicas) {
			made, err := s.makeComponent(c, i)
			if err != nil {
				return err
			}
			names = append(names, made.name)
			switch c.Role {
			case plan.RoleMaster:
				s.masters = append(s.masters, made)
			case plan.RoleWorker:
				s.workers = append(s.workers, made)
			case plan.RoleFuse:
				s.fuses = append(s.fuses, made)
			}
		}
	}
	s.update(func(state *State) {
		for _, group := range [][]*component{s.masters, s.workers, s.fuses} {
			for _, c := range group {
				state.Components = append(state.Components, ComponentState{Name: c.name, Role: c.role, Health: c.health, Log: c.log})
			}
		}
	})
	return s.layout.checkSockets(names)
}

func (s *supervisor) makeComponent(c *plan.Component, ordinal int) (*component, error) {
	name := c.InstanceName(ordinal)
	values, err := s.values(c, ordinal)
	if err != nil {
		return nil, err
	}
	environment := make([]string, 0, len(c.Env)+1)
	if c.Role == plan.RoleMaster {
		// The workers share this machine, so that nothing is gained by spreading an
		// object over them. The runtime can set another size.
		environment = append(environment, "JINDO_STRIPE_SIZE=-1")
	}
	for _, variable := range c.Env {
		value, err := resolve(variable.Value, values)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", name, err)
		}
		environment = append(environment, variable.Name+"="+value)
	}
	health := ""
	if port := c.Port(plan.PortHealth); port != 0 {
		health = net.JoinHostPort(s.host(c, ordinal), strconv.Itoa(port))
	}
	return &component{
		name: name, role: string(c.Role), binary: s.spec.Binaries[c.Binary],
		health: health, log: s.layout.Log(name), environment: environment,
		arguments: func() ([]string, error) {
			values[plan.VarFormed] = strconv.FormatBool(s.formed())
			return resolveAll(argumentsOf(c), values)
		},
		spawner: s.spawner, logger: s.logger, changed: s.componentChanged,
	}, nil
}

// argumentsOf returns the arguments of a component. Its mounts may be any directories
// of this machine: it runs as the user who chose them.
func argumentsOf(c *plan.Component) []string {
	if c.Role == plan.RoleMaster {
		return c.Args
	}
	return append(slices.Clone(c.Args), "--directory=/")
}

// values returns the plan's variables for an instance, and creates its directories.
func (s *supervisor) values(c *plan.Component, ordinal int) (map[string]string, error) {
	name := c.InstanceName(ordinal)
	values := map[string]string{
		plan.VarPodName: name, plan.VarPodIP: s.host(c, ordinal), plan.VarConfig: s.layout.Dir,
		plan.VarTLS: s.layout.TLS(name), plan.VarData: s.layout.data(name),
		plan.VarCredentials: s.layout.credentials(), plan.VarSockets: s.layout.sockets(),
		plan.VarSession: s.layout.session(), plan.VarFormed: "false",
	}
	dirs := []string{values[plan.VarData]}
	tiers := 0
	for _, v := range c.Volumes {
		if v.Kind == plan.VolumeTier {
			values[v.Variable] = s.layout.tier(name, tiers)
			if inMemory(v) {
				dir, err := s.layout.memoryTier(v.Tier.Path, name, tiers)
				if err != nil {
					return nil, fmt.Errorf("create a directory of %s: %w", name, err)
				}
				values[v.Variable] = dir
			}
			dirs = append(dirs, values[v.Variable])
			tiers++
		}
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("create a directory of %s: %w", name, err)
		}
	}
	return values, nil
}

func (s *supervisor) formed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.formation.Formed
}
