package remove

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// selection names objects of one kind to delete.
type selection struct {
	kind  string
	names []string
	all   bool
}

// target is one object to delete.
type target struct {
	// object is the object of the API server.
	object client.Object
	kind   string
	// resource is the name that kubectl prints.
	resource string
	// about describes the object and what is deleted with it, a line each.
	about []string
	// users are the pods that block the deletion while they run.
	users []string
	// text is the progress of the deletion.
	text    string
	deleted bool
}

func (t *target) describe() string {
	return fmt.Sprintf("%s %s/%s", t.kind, t.object.GetNamespace(), t.object.GetName())
}

// plan holds what will be deleted and what is kept.
type plan struct {
	targets []*target
	// kept are lines about what is not deleted.
	kept []string
	// failures are sentences about what could not be read.
	failures []string
}

// plan plans the deletion of objects of the cluster's namespace.
func (o *options) plan(ctx context.Context, cluster *session.Cluster, selections ...selection) (*plan, error) {
	p := &plan{}
	in := inventory.Read(ctx, o.session, cluster, cluster.Namespace, inventory.Datasets, inventory.Runtimes, inventory.Pods, inventory.Claims)
	p.failures = in.Failures
	for _, s := range selections {
		selected := s.names
		if s.all {
			if len(in.Failures) > 0 && len(in.Datasets)+len(in.Runtimes) == 0 {
				return nil, clierror.Generalf("%s", in.Failures[0])
			}
			selected = namesOf(in, s.kind)
		}
		for _, name := range selected {
			if slices.ContainsFunc(p.targets, func(t *target) bool { return t.kind == s.kind && t.object.GetName() == name }) {
				continue
			}
			t, err := o.find(ctx, cluster, in, s.kind, cluster.Namespace, name)
			if err != nil {
				return nil, err
			}
			p.targets = append(p.targets, t)
		}
	}
	p.addKept(in)
	return p, nil
}

// fromFiles deletes the objects of manifests.
func (o *options) fromFiles(cmd *cobra.Command) error {
	if o.sources.IsEmpty() {
		return clierror.Usagef("nothing to delete: want dataset NAME, runtime NAME, TYPE/NAME or -f FILE").WithTry("%s --help", cmd.CommandPath())
	}
	if err := o.validate(); err != nil {
		return err
	}
	if o.sources.UsesStdin() && !o.yes && o.dryRun == dryRunNone {
		return clierror.Usagef("-f - needs --yes: standard input is the manifest, so there is no confirmation").WithHint("add --yes to delete without confirmation")
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	o.sources.Timeout = o.session.RequestTimeout
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
	return o.execute(cmd.Context(), cluster, p)
}

func (o *options) planObjects(ctx context.Context, cluster *session.Cluster, set *manifest.Set) (*plan, error) {
	p := &plan{}
	inventories := map[string]*inventory.Inventory{}
	for _, object := range set.Objects {
		named, ok := object.(client.Object)
		if !ok {
			return nil, clierror.Generalf("an object of the manifest has no name")
		}
		namespace := named.GetNamespace()
		in := inventories[namespace]
		if in == nil {
			in = inventory.Read(ctx, o.session, cluster, namespace, inventory.Datasets, inventory.Runtimes, inventory.Pods, inventory.Claims)
			inventories[namespace] = in
			p.failures = append(p.failures, in.Failures...)
		}
		t, err := o.find(ctx, cluster, in, object.GetObjectKind().GroupVersionKind().Kind, namespace, named.GetName())
		if apierrors.IsNotFound(err) {
			o.session.Say("%s %s/%s not found", object.GetObjectKind().GroupVersionKind().Kind, namespace, named.GetName())
			continue
		}
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	for _, in := range inventories {
		p.addKept(in)
	}
	slices.Sort(p.kept)
	p.kept = slices.Compact(p.kept)
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

// find returns the target of an object. The error about one that does not exist
// satisfies apierrors.IsNotFound.
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
		message := fmt.Errorf("%s %q not found in namespace %q", strings.ToLower(kind), name, namespace)
		failed := &clierror.Error{Code: clierror.General, Err: notFound{error: message, cause: err}}
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

// notFound replaces the message of an API error.
type notFound struct {
	error
	cause error
}

// Unwrap returns the API error.
func (n notFound) Unwrap() error { return n.cause }

func (t *target) dataset(in *inventory.Inventory, d *v1alpha1.Dataset) {
	for _, m := range d.Spec.Mounts {
		t.about = append(t.about, "mounts "+m.MountPoint)
	}
	for i := range in.Claims {
		if pvc := &in.Claims[i]; pvc.Namespace == d.Namespace && pvc.Name == d.Name && inventory.IsDatasetClaim(pvc) {
			t.about = append(t.about, deletedClaim(pvc))
		}
	}
	t.users = usersOf(in, d)
}

// deletedClaim describes what is deleted with a claim, which may have no volume yet.
func deletedClaim(pvc *corev1.PersistentVolumeClaim) string {
	if pvc.Spec.VolumeName == "" {
		return fmt.Sprintf("PersistentVolumeClaim %s is deleted as well", pvc.Name)
	}
	return fmt.Sprintf("PersistentVolumeClaim %s and PersistentVolume %s are deleted as well", pvc.Name, pvc.Spec.VolumeName)
}

func (t *target) runtime(in *inventory.Inventory, r *v1alpha1.JindoRuntime) {
	st := &r.Status
	members := printer.Plural(int(st.DesiredMasterNumberScheduled), "master") + ", " + printer.Plural(int(st.DesiredWorkerNumberScheduled), "worker")
	if nodes := len(st.CacheDirectories); nodes > 0 {
		members += ", and their directories on " + printer.Plural(nodes, "node")
	}
	t.about = append(t.about, members)
	if cached := st.CacheStates[v1alpha1.CacheStateCached]; cached != "" {
		t.about = append(t.about, cached+" are cached, and will be read from the bucket again")
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

// addKept adds what refers to the targets and is not deleted.
func (p *plan) addKept(in *inventory.Inventory) {
	isTarget := func(kind, name string) bool {
		return slices.ContainsFunc(p.targets, func(t *target) bool { return t.kind == kind && t.object.GetName() == name })
	}
	for _, t := range p.targets {
		switch object := t.object.(type) {
		case *v1alpha1.Dataset:
			for _, m := range object.Spec.Mounts {
				p.keep("the objects in %s", m.MountPoint)
				for _, option := range m.EncryptOptions {
					if name := option.ValueFrom.SecretKeyRef.Name; !isTarget("Secret", name) {
						p.keep("Secret %s", name)
					}
				}
			}
			if r := in.RuntimeFor(object); r != nil && !isTarget(v1alpha1.JindoRuntimeKind, r.Name) {
				p.keep("JindoRuntime %s, which then serves no Dataset", r.Name)
			}
		case *v1alpha1.JindoRuntime:
			if d := in.Dataset(object.Namespace, inventory.DatasetOf(object)); d != nil && !isTarget(v1alpha1.DatasetKind, d.Name) {
				p.keep("Dataset %s, which then has no runtime", d.Name)
			}
		}
	}
}

func (p *plan) keep(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(p.kept, line) {
		p.kept = append(p.kept, line)
	}
}

// show prints the plan to stderr: it is not a result.
func (p *plan) show(s *session.Session) {
	for _, t := range p.targets {
		s.Say("deletes %s", t.describe())
		for _, line := range t.about {
			s.Say("  %s", line)
		}
		if len(t.users) > 0 {
			s.Say("  %s it: it is deleted when they have terminated", health.PodsMount(t.users))
		}
	}
	for _, line := range p.kept {
		s.Say("keeps   %s", line)
	}
	for _, sentence := range p.failures {
		s.Say("warning: %s; objects that depend on it are missing in this plan", sentence)
	}
}
