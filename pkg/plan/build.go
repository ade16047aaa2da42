package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Build returns the plan for a runtime and the Dataset that it serves. If dataset
// is nil or not [Bound] to the runtime, the plan has no mounts and Plan.Unbound
// contains the reason. Build does not modify its arguments. It applies the defaults
// to copies, and returns an error if these are not valid.
//
// The plan is one for Kubernetes, where mounts of directories are served from declared
// volumes only; see [Directories].
func Build(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) (*Plan, error) {
	return buildWith(dataset, runtime, DirectoryProblem)
}

// BuildLocal returns the plan for one machine. Its mounts may be any directories of
// the machine, because everything runs as the user who chose them.
func BuildLocal(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) (*Plan, error) {
	return buildWith(dataset, runtime, func(*v1alpha1.JindoRuntime, string) string { return "" })
}

// buildWith builds a plan. The function problem returns why a mount point cannot be
// served, or "".
func buildWith(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime, problem func(*v1alpha1.JindoRuntime, string) string) (*Plan, error) {
	runtime = runtime.DeepCopy()
	v1alpha1.SetDefaults(runtime)
	errs, warnings := v1alpha1.Validate(runtime)
	if err := errs.ToAggregate(); err != nil {
		return nil, fmt.Errorf("plan JindoRuntime %q: %w", runtime.Name, err)
	}
	p := &Plan{
		Namespace: namespace(runtime.Namespace),
		Name:      runtime.Name,
		Unbound:   UnboundReason(dataset, runtime),
		Warnings:  warnings,
	}
	spec := &v1alpha1.DatasetSpec{}
	if p.Unbound == "" {
		dataset = dataset.DeepCopy()
		v1alpha1.SetDefaults(dataset)
		errs, warnings := v1alpha1.Validate(dataset)
		if err := errs.ToAggregate(); err != nil {
			return nil, fmt.Errorf("plan Dataset %q: %w", dataset.Name, err)
		}
		p.Dataset, spec = dataset.Name, &dataset.Spec
		p.Warnings = append(p.Warnings, warnings...)
		addMounts(p, spec, runtime, problem)
		planSnapshots(p, dataset, runtime)
	}
	if err := addComponents(p, spec, runtime); err != nil {
		return nil, fmt.Errorf("plan JindoRuntime %q: %w", runtime.Name, err)
	}
	return p, nil
}

func addComponents(p *Plan, dataset *v1alpha1.DatasetSpec, runtime *v1alpha1.JindoRuntime) error {
	if !runtime.Spec.Master.Disabled {
		p.Masters = masters(runtime)
	}
	if !runtime.Spec.Worker.Disabled {
		workers, err := workers(runtime)
		if err != nil {
			return err
		}
		p.Workers = workers
	}
	options, err := fuseOptions(dataset, runtime)
	if err != nil {
		return err
	}
	p.FuseOptions = options
	if !runtime.Spec.Fuse.Disabled {
		p.Fuse = fuse(runtime, options)
	}
	return nil
}

func namespace(name string) string { return cmp.Or(name, "default") }

// environment returns environment variables sorted by name.
func environment(env map[string]string) []EnvVar {
	vars := make([]EnvVar, 0, len(env))
	for name, value := range env {
		vars = append(vars, EnvVar{Name: name, Value: value})
	}
	slices.SortFunc(vars, func(a, b EnvVar) int { return cmp.Compare(a.Name, b.Name) })
	return vars
}
