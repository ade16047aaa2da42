package local

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// explainStores turns the errors of unreadable stores into one that names the
// field of the manifest to change for each.
func (o *upOptions) explainStores(p *plan.Plan, errs local.StoreErrors) error {
	lines := make([]string, len(errs))
	offline := false
	for i, failed := range errs {
		lines[i] = o.field(p, failed) + ": " + ufs.Describe(failed.Err)
		// A final error, such as one of TLS, is not caused by being offline.
		offline = offline || errors.Is(failed, ufs.ErrUnavailable) && !retry.IsFinal(failed)
	}
	err := clierror.Generalf("nothing was started, because %d of %d mounts cannot be read:\n  %s",
		len(errs), len(p.Mounts), strings.Join(lines, "\n  "))
	if offline {
		return err.WithHint("to start it all the same, for example to read cached files offline, add --skip-store-check")
	}
	return err
}

// field returns the path of the field that a store's error is about, with the
// Secret that the value comes from.
func (o *upOptions) field(p *plan.Plan, failed *local.StoreError) string {
	i := o.mountIndex(p, failed.Mount.Name)
	if i < 0 {
		return failed.Mount.Name
	}
	mount, path := o.dataset.Spec.Mounts[i], field.NewPath("spec", "mounts").Index(i)
	if failed.Option == "" {
		return path.Child("mountPoint").String()
	}
	shared := field.NewPath("spec")
	_, own := mount.Options[failed.Option]
	_, common := o.dataset.Spec.SharedOptions[failed.Option]
	switch {
	case own:
		return path.Child("options").Key(failed.Option).String()
	case hasOption(mount.EncryptOptions, failed.Option):
		return path.Child("encryptOptions").Key(failed.Option).String() + secretOf(p, failed)
	case common:
		return shared.Child("sharedOptions").Key(failed.Option).String()
	case hasOption(o.dataset.Spec.SharedEncryptOptions, failed.Option):
		return shared.Child("sharedEncryptOptions").Key(failed.Option).String() + secretOf(p, failed)
	case secretOf(p, failed) != "":
		return "spec.secret" + secretOf(p, failed)
	}
	return path.Child("options").Key(failed.Option).String()
}

func hasOption(options []v1alpha1.EncryptOption, name string) bool {
	return slices.ContainsFunc(options, func(option v1alpha1.EncryptOption) bool { return option.Name == name })
}

// secretOf names the Secret and the key that hold an option; "" if none does.
func secretOf(p *plan.Plan, failed *local.StoreError) string {
	for _, credentials := range p.Credentials {
		if credentials.SecretRef != failed.Mount.SecretRef {
			continue
		}
		for _, ref := range credentials.Refs {
			if ref.Option == failed.Option {
				return fmt.Sprintf(" (key %s of Secret %s)", ref.Key, ref.Name)
			}
		}
	}
	return ""
}

// mountIndex returns the index in spec.mounts of a mount of the plan, which
// leaves out those that have no driver; -1 if it is not found.
func (o *upOptions) mountIndex(p *plan.Plan, name string) int {
	position := slices.IndexFunc(p.Mounts, func(m plan.Mount) bool { return m.Name == name })
	if o.dataset == nil || position < 0 {
		return -1
	}
	for i, m := range o.dataset.Spec.Mounts {
		if v1alpha1.MountUnsupported(v1alpha1.Scheme(m.MountPoint)) != "" {
			continue
		}
		if position == 0 {
			return i
		}
		position--
	}
	return -1
}
