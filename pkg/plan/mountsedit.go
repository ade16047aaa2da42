package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// mountsEdit computes the mounts that follow the current ones of a bound Dataset, and
// their credentials.
//
// Mounts are added at once. A mount whose options change, the endpoint included, keeps its
// files, and its store and credentials change together: it gets new credentials beside
// the old ones, and the masters' mount is changed once every worker has them. A mount that
// is removed, or that becomes one of another store, has files that pods may have open: it
// remains while pods use the Dataset.
type mountsEdit struct {
	current  *v1alpha1.EffectiveDataset
	declared []v1alpha1.Mount
	d        *Declared
	p        Progress
	// revision is that of the next effective spec.
	revision int64

	// next is the result, with messages about what is not carried out in kept.
	next *v1alpha1.EffectiveDataset
	kept []string

	// users names the pods that use the Dataset, if files disappear.
	users  string
	mounts []v1alpha1.Mount
	// added reports that there are new credentials.
	added bool
}

func (e *mountsEdit) run() error {
	e.next.CredentialsRevision = e.current.CredentialsRevision
	for _, ref := range e.current.RetiredSecretRefs {
		if e.p.RefInUse == nil || e.p.RefInUse(ref) {
			e.retire(ref)
		}
	}
	if err := e.findUsers(); err != nil {
		return err
	}
	for _, existing := range e.current.Spec.Mounts {
		switch at := e.declaredAt(existing.Path); {
		case e.loses(existing) && e.users != "":
			e.keep(existing)
			e.kept = append(e.kept, fmt.Sprintf("mount %s remains %s at %s until no pod uses Dataset %s: %s",
				existing.Name, existing.MountPoint, existing.Path, e.current.Name, e.users))
		case at < 0:
			e.retire(e.current.SecretRef(existing.Name))
		default:
			e.change(existing, e.declared[at])
		}
	}
	for _, m := range e.declared {
		if !slices.ContainsFunc(e.current.Spec.Mounts, func(existing v1alpha1.Mount) bool { return existing.Path == m.Path }) {
			e.add(m)
		}
	}
	e.next.Spec.Mounts = e.mounts
	if e.added {
		e.next.CredentialsRevision = e.revision
	}
	return nil
}

// findUsers sets users if files of a mount disappear.
func (e *mountsEdit) findUsers() (err error) {
	if e.p.Users != nil && slices.ContainsFunc(e.current.Spec.Mounts, e.loses) {
		e.users, err = e.p.Users(e.current.Name)
	}
	return err
}

func (e *mountsEdit) declaredAt(path string) int {
	return slices.IndexFunc(e.declared, func(m v1alpha1.Mount) bool { return m.Path == path })
}

// loses reports whether files of a mount disappear that may be open.
func (e *mountsEdit) loses(existing v1alpha1.Mount) bool {
	at := e.declaredAt(existing.Path)
	return (at < 0 || e.declared[at].MountPoint != existing.MountPoint) && e.p.Worked(existing.Path)
}

// remains reports whether there is a mount at the path of a current one afterwards.
func (e *mountsEdit) remains(existing v1alpha1.Mount) bool {
	return e.declaredAt(existing.Path) >= 0 || e.loses(existing) && e.users != ""
}

func (e *mountsEdit) keep(existing v1alpha1.Mount) {
	e.put(existing, e.current.SecretRef(existing.Name))
}

// change replaces a mount by the declared one at its path.
func (e *mountsEdit) change(existing, m v1alpha1.Mount) {
	ref := e.current.SecretRef(existing.Name)
	switch other := e.nameTaken(m); {
	case sameStore(existing, m):
		e.put(m, ref)
	case other != "":
		e.keep(existing)
		e.kept = append(e.kept, fmt.Sprintf("mount %s is not changed while the mount at %s has the name %s", existing.Path, other, m.Name))
	default:
		e.retire(ref)
		e.put(m, e.newRef(m))
	}
}

// add adds a mount, unless a mount that remains has its name, or a path that contains or
// is contained in its path.
func (e *mountsEdit) add(m v1alpha1.Mount) {
	other := e.nameTaken(m)
	for _, kept := range e.mounts {
		if strings.HasPrefix(m.Path+"/", strings.TrimSuffix(kept.Path, "/")+"/") || strings.HasPrefix(kept.Path+"/", strings.TrimSuffix(m.Path, "/")+"/") {
			other = kept.Path
		}
	}
	if other != "" {
		e.kept = append(e.kept, fmt.Sprintf("mount %s is not added at %s while there is a mount at %s", m.Name, m.Path, other))
		return
	}
	e.put(m, e.newRef(m))
}

// nameTaken returns the path of a current mount that has the name of a declared one at
// another path, and that is not removed; "" if there is none. Names are unique at the
// masters, which remove mounts first.
func (e *mountsEdit) nameTaken(m v1alpha1.Mount) string {
	for _, existing := range e.current.Spec.Mounts {
		if existing.Name == m.Name && existing.Path != m.Path && e.remains(existing) {
			return existing.Path
		}
	}
	return ""
}

// newRef returns a name for the credentials of a mount that no current ones have.
func (e *mountsEdit) newRef(m v1alpha1.Mount) string {
	if !v1alpha1.NeedsCredentials(v1alpha1.Scheme(m.MountPoint)) {
		return m.Name
	}
	e.added = true
	taken := slices.Clone(e.current.RetiredSecretRefs)
	for _, existing := range e.current.Spec.Mounts {
		taken = append(taken, e.current.SecretRef(existing.Name))
	}
	for _, other := range e.declared {
		if other.Name != m.Name {
			taken = append(taken, other.Name)
		}
	}
	ref := m.Name
	for slices.Contains(taken, ref) {
		ref = fmt.Sprintf("%s-r%d", ref, e.revision)
	}
	return ref
}

// put adds a mount to the result. References to the runtime's own Secret are those of its
// credentials.
func (e *mountsEdit) put(m v1alpha1.Mount, ref string) {
	m = *m.DeepCopy()
	for i := range m.EncryptOptions {
		if from := &m.EncryptOptions[i].ValueFrom.SecretKeyRef; from.Name == e.d.Secret {
			from.Key = e.d.SecretKey(ref, m.EncryptOptions[i].Name)
		}
	}
	e.mounts = append(e.mounts, m)
	if ref == m.Name {
		return
	}
	if e.next.SecretRefs == nil {
		e.next.SecretRefs = map[string]string{}
	}
	e.next.SecretRefs[m.Name] = ref
}

func (e *mountsEdit) retire(ref string) {
	if !slices.Contains(e.next.RetiredSecretRefs, ref) {
		e.next.RetiredSecretRefs = append(e.next.RetiredSecretRefs, ref)
	}
}

// UseCredentials makes a plan that was built from an effective spec use the credentials
// that it names.
func (p *Plan) UseCredentials(e *v1alpha1.EffectiveDataset) {
	if e == nil {
		return
	}
	for i := range p.Mounts {
		if p.Mounts[i].SecretRef != "" {
			p.Mounts[i].SecretRef = e.SecretRef(p.Mounts[i].Name)
		}
	}
	for i := range p.Credentials {
		p.Credentials[i].SecretRef = e.SecretRef(p.Credentials[i].Mount)
	}
	p.RetiredSecretRefs, p.CredentialsRevision = slices.Clone(e.RetiredSecretRefs), e.CredentialsRevision
}
