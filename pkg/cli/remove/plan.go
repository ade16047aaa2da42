package remove

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// wanted says what to delete.
type wanted struct {
	kind  string
	names []string
	all   bool
}

// target is one object that goes.
type target struct {
	// object as it is on the cluster.
	object client.Object
	kind   string
	// resource as kubectl writes it.
	resource string
	// about says what it is and what goes with it, a line each.
	about []string
	// users are the pods that keep it for as long as they run.
	users []string
	// text says how it is while it is waited for.
	text string
	gone bool
}

func (t *target) describe() string {
	return fmt.Sprintf("%s %s/%s", t.kind, t.object.GetNamespace(), t.object.GetName())
}

// plan is what a person is asked about.
type plan struct {
	targets []*target
	// stays are lines about what is not touched.
	stays []string
	// unread are sentences about what could not be looked at.
	unread []string
}

// plan what to delete in the cluster's namespace.
func (o *options) plan(ctx context.Context, cluster *session.Cluster, w wanted) (*plan, error) {
	p := &plan{}
	in := inventory.Read(ctx, o.session, cluster, cluster.Namespace, inventory.Datasets, inventory.Runtimes, inventory.Pods, inventory.Claims)
	p.unread = in.Failures
	chosen := w.names
	if w.all {
		if len(in.Failures) > 0 && len(in.Datasets)+len(in.Runtimes) == 0 {
			return nil, clierror.Generalf("%s", in.Failures[0])
		}
		chosen = namesOf(in, w.kind)
	}
	for _, name := range chosen {
		if slices.ContainsFunc(p.targets, func(t *target) bool { return t.kind == w.kind && t.object.GetName() == name }) {
			continue
		}
		t, err := o.find(ctx, cluster, in, w.kind, cluster.Namespace, name)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	p.remain(in)
	return p, nil
}

// fromFiles deletes what files say.
func (o *options) fromFiles(cmd *cobra.Command) error {
	if o.sources.IsEmpty() {
		return clierror.Usagef("say what to delete: dataset NAME, runtime NAME, or -f FILE").WithTry("%s --help", cmd.CommandPath())
	}
	if err := o.validate(); err != nil {
		return err
	}
	if o.sources.UsesStdin() && !o.yes && o.dryRun == dryRunNone {
		return clierror.Usagef("with -f - nobody can be asked: standard input is the manifest").WithTry("add --yes")
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	set, err := manifest.Read(cmd.Context(), manifest.Options{
		Sources: o.sources, Stdin: o.session.Streams.In, Namespace: o.session.Namespace, DefaultNamespace: cluster.Namespace,
	})
	if err != nil {
		return err
	}
	p, err := o.planObjects(cmd.Context(), cluster, set)
	if err != nil {
		return err
	}
	return o.carryOut(cmd.Context(), cluster, p)
}

func (o *options) planObjects(ctx context.Context, cluster *session.Cluster, set *manifest.Set) (*plan, error) {
	p := &plan{}
	inventories := map[string]*inventory.Inventory{}
	for _, object := range set.Objects {
		named, ok := object.(client.Object)
		if !ok {
			return nil, clierror.Generalf("an object has no name")
		}
		namespace := named.GetNamespace()
		in := inventories[namespace]
		if in == nil {
			in = inventory.Read(ctx, o.session, cluster, namespace, inventory.Datasets, inventory.Runtimes, inventory.Pods, inventory.Claims)
			inventories[namespace] = in
			p.unread = append(p.unread, in.Failures...)
		}
		t, err := o.find(ctx, cluster, in, object.GetObjectKind().GroupVersionKind().Kind, namespace, named.GetName())
		if apierrors.IsNotFound(err) {
			o.session.Say("%s %s/%s is not there", object.GetObjectKind().GroupVersionKind().Kind, namespace, named.GetName())
			continue
		}
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	for _, in := range inventories {
		p.remain(in)
	}
	slices.Sort(p.stays)
	p.stays = slices.Compact(p.stays)
	return p, nil
}

func namesOf(in *inventory.Inventory, kind string) []string {
	var found []string
	if kind == v1alpha1.DatasetKind {
		for i := range in.Datasets {
			found = append(found, in.Datasets[i].Name)
		}
		return found
	}
	for i := range in.Runtimes {
		found = append(found, in.Runtimes[i].Name)
	}
	return found
}

// find an object; the error of one that is not there says where else it is, and
// is still apierrors.IsNotFound.
func (o *options) find(ctx context.Context, cluster *session.Cluster, in *inventory.Inventory, kind, namespace, name string) (*target, error) {
	t := &target{kind: kind, resource: strings.ToLower(kind) + "." + v1alpha1.Group}
	switch kind {
	case v1alpha1.DatasetKind:
		t.object = &v1alpha1.Dataset{}
	case v1alpha1.JindoRuntimeKind:
		t.object = &v1alpha1.JindoRuntime{}
	case v1alpha1.DataLoadKind:
		t.object = &v1alpha1.DataLoad{}
	default:
		t.object, t.resource = &corev1.Secret{}, "secret"
	}
	err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, t.object)
	switch {
	case apierrors.IsNotFound(err):
		sentence := fmt.Errorf("no %s %q in namespace %q", strings.ToLower(kind), name, namespace)
		failed := &clierror.Error{Code: clierror.General, Err: notThere{error: sentence, cause: err}}
		noun := map[string]string{v1alpha1.DatasetKind: "datasets", v1alpha1.JindoRuntimeKind: "runtimes", v1alpha1.DataLoadKind: "loads"}[kind]
		if noun == "" {
			return nil, failed
		}
		return nil, failed.WithTry("%s get %s -A", o.session.Name, noun)
	case err != nil:
		return nil, apierror.Explain(o.session, cluster, fmt.Sprintf("reading %s %s/%s", kind, namespace, name), err)
	}
	switch object := t.object.(type) {
	case *v1alpha1.Dataset:
		t.dataset(in, object)
	case *v1alpha1.JindoRuntime:
		t.runtime(in, object)
	}
	return t, nil
}

// notThere is a sentence about an API error.
type notThere struct {
	error
	cause error
}

// Unwrap answers the API error.
func (n notThere) Unwrap() error { return n.cause }

func (t *target) dataset(in *inventory.Inventory, d *v1alpha1.Dataset) {
	for _, m := range d.Spec.Mounts {
		t.about = append(t.about, "mounts "+m.MountPoint)
	}
	for i := range in.Claims {
		if pvc := &in.Claims[i]; pvc.Namespace == d.Namespace && pvc.Name == d.Name && inventory.IsDatasetClaim(pvc) {
			t.about = append(t.about, fmt.Sprintf("with it go PersistentVolumeClaim %s and PersistentVolume %s", d.Name, names.Volume(d.Namespace, d.Name)))
		}
	}
	t.users = usersOf(in, d)
}

func (t *target) runtime(in *inventory.Inventory, r *v1alpha1.JindoRuntime) {
	st := &r.Status
	members := printer.Plural(int(st.DesiredMasterNumberScheduled), "master") + ", " + printer.Plural(int(st.DesiredWorkerNumberScheduled), "worker")
	if nodes := len(st.CacheDirectories); nodes > 0 {
		members += ", and their directories on " + printer.Plural(nodes, "node")
	}
	t.about = append(t.about, members)
	if cached := st.CacheStates[v1alpha1.CacheStateCached]; cached != "" {
		t.about = append(t.about, cached+" are cached, and would be read from the bucket again")
	}
	if d := in.Dataset(r.Namespace, inventory.DatasetOf(r)); d != nil {
		t.users = usersOf(in, d)
	}
}

func usersOf(in *inventory.Inventory, d *v1alpha1.Dataset) []string {
	var users []string
	for _, use := range in.UsesOf(d) {
		if use.Holds {
			users = append(users, use.Pod.Name)
		}
	}
	return slices.Compact(users)
}

// remain says what is left alone.
func (p *plan) remain(in *inventory.Inventory) {
	goes := func(kind, name string) bool {
		return slices.ContainsFunc(p.targets, func(t *target) bool { return t.kind == kind && t.object.GetName() == name })
	}
	for _, t := range p.targets {
		switch object := t.object.(type) {
		case *v1alpha1.Dataset:
			for _, m := range object.Spec.Mounts {
				p.stay("what lies in %s", m.MountPoint)
				for _, option := range m.EncryptOptions {
					if name := option.ValueFrom.SecretKeyRef.Name; !goes("Secret", name) {
						p.stay("Secret %s", name)
					}
				}
			}
			if r := in.RuntimeFor(object); r != nil && !goes(v1alpha1.JindoRuntimeKind, r.Name) {
				p.stay("JindoRuntime %s, which serves nobody then", r.Name)
			}
		case *v1alpha1.JindoRuntime:
			if d := in.Dataset(object.Namespace, inventory.DatasetOf(object)); d != nil && !goes(v1alpha1.DatasetKind, d.Name) {
				p.stay("Dataset %s, which nobody serves then", d.Name)
			}
		}
	}
}

func (p *plan) stay(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(p.stays, line) {
		p.stays = append(p.stays, line)
	}
}

// show the plan; it is no result.
func (p *plan) show(s *session.Session) {
	for _, t := range p.targets {
		s.Say("deletes %s", t.describe())
		for _, line := range t.about {
			s.Say("  %s", line)
		}
		if len(t.users) > 0 {
			s.Say("  %s it: it serves them, and goes when they are gone", datasetvolume.PodsMount(t.users))
		}
	}
	for _, line := range p.stays {
		s.Say("keeps   %s", line)
	}
	for _, sentence := range p.unread {
		s.Say("warning: %s; what depends on it is not in this plan", sentence)
	}
}
