// Package cluster reports on the runtimes of a cluster. The reports come from the
// status of objects, with a number of requests that does not depend on the number
// of pods. On request the members are queried as well, through port-forwards.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/collect"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/master/client"
)

// Source reports on the runtimes of a cluster. Runtimes lists the objects, and
// Collect evaluates those of the last list. It is safe for concurrent use.
type Source struct {
	session *session.Session
	cluster *session.Cluster
	now     func() time.Time

	masters, workers bool
	selector         labels.Selector

	mu sync.Mutex
	// last holds the objects of the last list.
	last *objects
}

var _ report.Source = (*Source)(nil)

// New returns a Source for the cluster of the session.
func New(s *session.Session) (*Source, error) {
	c, err := s.Cluster()
	if err != nil {
		return nil, err
	}
	return &Source{session: s, cluster: c, now: time.Now, selector: labels.Everything()}, nil
}

// QueryMasters makes Collect query the masters as well. Collect fails when the user
// lacks the right.
func (s *Source) QueryMasters() { s.masters = true }

// QueryMembers makes Collect query masters and workers as well. That the user lacks the
// right is a note of the report.
func (s *Source) QueryMembers() { s.masters, s.workers = true, true }

// Select restricts the Source to runtimes and Datasets with labels that match.
func (s *Source) Select(selector string) error {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return clierror.Usagef("invalid --selector %q: %w", selector, err).WithTry("-l team=vision")
	}
	s.selector = parsed
	return nil
}

// Runtimes lists the runtimes of a namespace, or of all for "", and the Datasets that
// no runtime serves.
func (s *Source) Runtimes(ctx context.Context, namespace string) ([]report.Ref, error) {
	f, err := s.list(ctx, namespace)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.last = f
	s.mu.Unlock()
	var refs []report.Ref
	served := map[string]bool{}
	for i := range f.Runtimes {
		r := &f.Runtimes[i]
		d := f.datasetOf(r)
		ref := report.Ref{Namespace: r.Namespace, Name: r.Name}
		fits := s.selector.Matches(labels.Set(r.Labels))
		if d != nil {
			ref.Dataset = d.Name
			served[d.Namespace+"/"+d.Name] = true
			fits = fits || s.selector.Matches(labels.Set(d.Labels))
		}
		if fits {
			refs = append(refs, ref)
		}
	}
	for i := range f.Datasets {
		d := &f.Datasets[i]
		if !served[d.Namespace+"/"+d.Name] && s.selector.Matches(labels.Set(d.Labels)) {
			refs = append(refs, report.Ref{Namespace: d.Namespace, Dataset: d.Name})
		}
	}
	sortRefs(refs)
	return refs, nil
}

// Collect returns the report on one runtime of the last list. It lists again when the
// runtime is not part of it.
func (s *Source) Collect(ctx context.Context, ref report.Ref) (*report.Runtime, error) {
	s.mu.Lock()
	f := s.last
	s.mu.Unlock()
	if f == nil || f.Runtime(ref.Namespace, ref.Name) == nil && f.Dataset(ref.Namespace, ref.Dataset) == nil {
		var err error
		if f, err = s.list(ctx, ref.Namespace); err != nil {
			return nil, err
		}
	}
	r := f.report(ref, s.now())
	runtime := f.Runtime(ref.Namespace, ref.Name)
	if runtime == nil || !s.masters {
		return r, nil
	}
	if err := s.queryMembers(ctx, r, runtime); err != nil {
		if !s.workers {
			return nil, err
		}
		r.Notes = append(r.Notes, sentence(err))
	}
	return r, nil
}

// queryMembers queries the members and replaces what the cluster reports about them.
func (s *Source) queryMembers(ctx context.Context, r *report.Runtime, runtime *v1alpha1.JindoRuntime) error {
	targets, err := Targets(ctx, s.cluster, runtime)
	if err != nil {
		return err
	}
	if !s.workers {
		targets.Topology.Workers = nil
	}
	targets.Timeout = s.session.RequestTimeout
	refused := recordForbidden(&targets)
	fresh := report.New(report.Ref{Namespace: r.Namespace, Name: r.Name}, r.Collected.Time)
	collect.Fill(ctx, fresh, targets)
	if err := forbiddenError(r.Namespace, refused()); err != nil {
		return err
	}
	merge(r, fresh, s.workers)
	return nil
}

// Transfer transfers the leadership to another master, and returns its name.
func (s *Source) Transfer(ctx context.Context, ref report.Ref, to string) (leader string, err error) {
	err = s.withMasters(ctx, ref, func(masters *client.Client) error {
		leader, err = masters.Transfer(ctx, to)
		return err
	})
	return leader, err
}

// Administer calls a function with the masters of a runtime.
func (s *Source) Administer(ctx context.Context, ref report.Ref, use func(raft.Masters) error) error {
	return s.withMasters(ctx, ref, func(masters *client.Client) error { return use(masters) })
}

// withMasters calls a function with a client that has the certificate of the role
// admin and reaches the masters through port-forwards.
func (s *Source) withMasters(ctx context.Context, ref report.Ref, use func(*client.Client) error) error {
	runtime := &v1alpha1.JindoRuntime{}
	runtime.Namespace, runtime.Name = ref.Namespace, ref.Name
	targets, err := Targets(ctx, s.cluster, runtime)
	if err != nil {
		return err
	}
	refused := recordForbidden(&targets)
	masters, err := client.New(client.Config{Topology: targets.Topology, Identity: targets.Identity, Holder: "kubectl-jindo", Dial: targets.Dial})
	if err != nil {
		return err
	}
	defer masters.Close()
	err = use(masters)
	var stated *clierror.Error
	if forbidden := forbiddenError(ref.Namespace, refused()); forbidden != nil && err != nil {
		return forbidden
	}
	if err != nil && !errors.As(err, &stated) {
		return fmt.Errorf("query the masters of JindoRuntime %s: %w", ref, err)
	}
	return err
}

// datasetOf returns the Dataset that a runtime serves, or nil.
func (f *objects) datasetOf(runtime *v1alpha1.JindoRuntime) *v1alpha1.Dataset {
	d := f.Dataset(runtime.Namespace, inventory.DatasetOf(runtime))
	if d != nil && f.RuntimeFor(d) == runtime {
		return d
	}
	for i := range f.Datasets {
		if f.RuntimeFor(&f.Datasets[i]) == runtime {
			return &f.Datasets[i]
		}
	}
	return nil
}
