package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// keepDataset replaces the Dataset of next by the current one, and its mounts by the
// current ones, where they may be in use. It returns a message for each change that is
// not carried out.
func keepDataset(current *v1alpha1.EffectiveDataset, next *v1alpha1.EffectiveSpec, d Declared, p Progress) ([]string, error) {
	switch {
	case d.DatasetInvalid:
		next.Dataset = current.DeepCopy()
		return nil, nil
	case current == nil:
		awaitCredentials(current, next, p)
		return nil, nil
	case next.Dataset == nil || next.Dataset.Name != current.Name:
		kept, err := keepUsed(current, next, p)
		if err == nil && len(kept) == 0 {
			awaitCredentials(current, next, p)
		}
		return kept, err
	case !p.Mounted:
		awaitCredentials(current, next, p)
		return nil, nil
	}
	var kept []string
	spec := &next.Dataset.Spec
	if !slices.Equal(modes(spec.AccessModes), modes(current.Spec.AccessModes)) {
		kept = append(kept, "spec.accessModes of the Dataset is unchanged: its PersistentVolume exists already")
		spec.AccessModes = slices.Clone(current.Spec.AccessModes)
	}
	edit := mountsEdit{current: current, declared: spec.Mounts, d: &d, p: p, next: next.Dataset, revision: next.Revision + 1}
	if err := edit.run(); err != nil {
		return nil, err
	}
	return append(kept, edit.kept...), nil
}

// awaitCredentials sets the revision of the credentials of a Dataset whose mounts do not
// exist yet, if workers run already: they get the credentials later than the masters get
// the mounts, and a worker without them would report a failure of the store.
func awaitCredentials(current *v1alpha1.EffectiveDataset, next *v1alpha1.EffectiveSpec, p Progress) {
	d := next.Dataset
	needed := func(m v1alpha1.Mount) bool { return v1alpha1.NeedsCredentials(v1alpha1.Scheme(m.MountPoint)) }
	switch {
	case d == nil || !p.Started || next.Runtime.Worker.Disabled || !slices.ContainsFunc(d.Spec.Mounts, needed):
	case current != nil && current.Name == d.Name && equality.Semantic.DeepEqual(current.Spec.Mounts, d.Spec.Mounts):
		d.CredentialsRevision = current.CredentialsRevision
	default:
		d.CredentialsRevision = next.Revision + 1
	}
}

// keepUsed keeps a Dataset that the runtime no longer serves while pods use it.
func keepUsed(current *v1alpha1.EffectiveDataset, next *v1alpha1.EffectiveSpec, p Progress) ([]string, error) {
	if p.Users == nil {
		return nil, nil
	}
	users, err := p.Users(current.Name)
	if err != nil || users == "" {
		return nil, err
	}
	next.Dataset = current.DeepCopy()
	return []string{fmt.Sprintf("Dataset %s is served until no pod uses it: %s", current.Name, users)}, nil
}

// ChangedMounts returns the paths, sorted, of the mounts of a valid Dataset with defaults
// that an effective spec does not have, or has with another store or options, and of
// those that only the effective spec has. Credentials are not compared.
func ChangedMounts(dataset *v1alpha1.Dataset, effective *v1alpha1.EffectiveDataset) []string {
	d := Declared{Dataset: dataset, SecretKey: func(string, string) string { return "" }}
	declared := d.recordDataset().Spec.Mounts
	var changed []string
	at := func(mounts []v1alpha1.Mount, path string) int {
		return slices.IndexFunc(mounts, func(m v1alpha1.Mount) bool { return m.Path == path })
	}
	for _, m := range declared {
		if i := at(effective.Spec.Mounts, m.Path); i < 0 || !sameStore(m, effective.Spec.Mounts[i]) {
			changed = append(changed, m.Path)
		}
	}
	for _, m := range effective.Spec.Mounts {
		if at(declared, m.Path) < 0 {
			changed = append(changed, m.Path)
		}
	}
	slices.Sort(changed)
	return changed
}

// sameStore reports whether two mounts differ in their credentials at most. Which
// options are credentials is part of a mount.
func sameStore(a, b v1alpha1.Mount) bool {
	return equality.Semantic.DeepEqual(withoutCredentials(a), withoutCredentials(b)) && len(a.EncryptOptions) > 0 == (len(b.EncryptOptions) > 0)
}

func withoutCredentials(m v1alpha1.Mount) v1alpha1.Mount {
	m.EncryptOptions = nil
	return m
}

// Unseal returns the credentials of a plan that was built from an effective spec. The
// values that the declared Dataset has as plain text replace the references to the
// Secret of the runtime, unless the declared mount differs in more than its credentials.
// Without such a value the reference remains, and with it the value in the Secret.
func (d *Declared) Unseal(p *Plan, effective *v1alpha1.EffectiveSpec) []Credentials {
	declared := d.recordDataset()
	if effective.Dataset == nil || declared == nil || declared.Name != effective.Dataset.Name {
		return p.Credentials
	}
	all := make([]Credentials, 0, len(p.Credentials))
	for _, c := range p.Credentials {
		if literal := d.literals(declared, effective, c.Mount); len(literal) > 0 {
			c = unseal(c, d.Secret, literal)
		}
		all = append(all, c)
	}
	return all
}

// literals returns the credentials of a mount that the declared Dataset has as plain
// text; none if the effective mount is another one.
func (d *Declared) literals(declared *v1alpha1.EffectiveDataset, effective *v1alpha1.EffectiveSpec, mount string) map[string]Sensitive {
	named := func(m v1alpha1.Mount) bool { return m.Name == mount }
	from := slices.IndexFunc(declared.Spec.Mounts, named)
	to := slices.IndexFunc(effective.Dataset.Spec.Mounts, named)
	if from < 0 || to < 0 || !sameStore(declared.Spec.Mounts[from], effective.Dataset.Spec.Mounts[to]) {
		return nil
	}
	_, credentials := planMount(&d.Dataset.Spec, d.Dataset.Spec.Mounts[from])
	return credentials.Literal
}

func unseal(c Credentials, secret string, literal map[string]Sensitive) Credentials {
	unsealed := Credentials{SecretRef: c.SecretRef, Mount: c.Mount, Literal: map[string]Sensitive{}}
	for _, ref := range c.Refs {
		if value, found := literal[ref.Option]; found && ref.Name == secret {
			unsealed.Literal[ref.Option] = value
			continue
		}
		unsealed.Refs = append(unsealed.Refs, ref)
	}
	return unsealed
}
