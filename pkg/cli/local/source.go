package local

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/collect"
	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Source reads reports on local runtimes. The screens of all commands with --local
// use it, so it implements their interface.
type Source struct {
	root    string
	timeout time.Duration
	now     func() time.Time
}

var _ report.Source = (*Source)(nil)

// NewSource returns a Source of the runtimes below root. A request to one target
// may take timeout.
func NewSource(root string, timeout time.Duration) *Source {
	return &Source{root: root, timeout: timeout, now: time.Now}
}

// Runtimes returns the runtimes that run, or that a killed run left.
func (s *Source) Runtimes(_ context.Context, namespace string) ([]report.Ref, error) {
	layouts, err := local.List(s.root, namespace)
	if err != nil {
		return nil, err
	}
	var refs []report.Ref
	for _, l := range layouts {
		state, found, err := local.ReadState(l)
		if err != nil {
			return nil, err
		}
		if found {
			refs = append(refs, report.Ref{Namespace: l.Namespace, Name: l.Runtime, Dataset: state.Dataset})
		}
	}
	return refs, nil
}

// Collect returns the report on one runtime.
func (s *Source) Collect(ctx context.Context, ref report.Ref) (*report.Runtime, error) {
	l := local.NewLayout(s.root, ref.Namespace, ref.Name)
	r := report.New(ref, s.now())
	state, found, err := local.ReadState(l)
	if err != nil {
		return nil, err
	}
	if !found || !local.Running(state) {
		r.Health = report.Stopped
		r.Where = "this machine"
		r.Problems = append(r.Problems, "its supervisor does not run")
		r.Dataset = dataset(state)
		return r, nil
	}
	r.Where = "this machine, " + state.Network
	r.Dataset = dataset(state)
	if err := s.fill(ctx, r, l); err != nil {
		return nil, err
	}
	s.fillFuse(ctx, r, state)
	r.EvaluateHealth()
	if state.Phase == local.Starting && r.Health != report.Healthy {
		r.Health = report.Starting
	}
	return r, nil
}

func (s *Source) fill(ctx context.Context, r *report.Runtime, l local.Layout) error {
	members, err := topology.Load(l.Roster())
	if err != nil {
		return err
	}
	identity, err := mtls.LoadIdentity(l.TLS(local.Admin))
	if err != nil {
		return err
	}
	collect.Fill(ctx, r, collect.Targets{Topology: members, Identity: identity, Timeout: s.timeout})
	return nil
}

func dataset(state local.State) report.Dataset {
	if state.Dataset == "" {
		unbound := report.Dataset{Phase: "NotBound"}
		if len(state.Notices) > 0 {
			unbound.Message = state.Notices[0]
		}
		return unbound
	}
	return report.Dataset{Name: state.Dataset, Phase: "Bound"}
}

// fillFuse requests the health port of the FUSE server. It does not use the mount,
// where a stat would block without a server.
func (s *Source) fillFuse(ctx context.Context, r *report.Runtime, state local.State) {
	for _, c := range state.Components {
		if c.Role != "fuse" {
			continue
		}
		r.Targets++
		f := report.Fuse{Name: c.Name, Mountpoint: state.Mountpoint, Starts: c.Starts}
		if !c.Since.IsZero() {
			f.Since = new(metav1.NewTime(c.Since))
		}
		err := s.ready(ctx, c.Health)
		var refused *local.NotReadyError
		responded := errors.As(err, &refused)
		// A server is ready only once something is mounted in its tree.
		f.Ready = err == nil || responded && state.Dataset == "" && state.Phase == local.Ready
		if !f.Ready {
			f.Error = collect.Reason(err)
		}
		if err != nil && !responded {
			r.Failures = append(r.Failures, report.Failure{Target: c.Name, Error: f.Error})
		}
		r.Fuses = append(r.Fuses, f)
	}
}

func (s *Source) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return local.CheckReady(ctx, address)
}

// Transfer transfers leadership to another master.
func (s *Source) Transfer(ctx context.Context, ref report.Ref, to string) (leader string, err error) {
	masters, err := s.dial(ref)
	if err != nil {
		return "", err
	}
	defer masters.Close()
	return masters.Transfer(ctx, to)
}

// Administer calls a function with the masters of a runtime.
func (s *Source) Administer(_ context.Context, ref report.Ref, use func(raft.Masters) error) error {
	masters, err := s.dial(ref)
	if err != nil {
		return err
	}
	defer masters.Close()
	return use(masters)
}

// dial returns a client with the certificate of the role admin.
func (s *Source) dial(ref report.Ref) (*client.Client, error) {
	l := local.NewLayout(s.root, ref.Namespace, ref.Name)
	members, err := topology.Load(l.Roster())
	if err != nil {
		return nil, err
	}
	identity, err := mtls.LoadIdentity(l.TLS(local.Admin))
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Topology: members, Identity: identity, Holder: "kubectl-jindo"})
}
