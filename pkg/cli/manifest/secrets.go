package manifest

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/plan"
)

// Credentials returns the credentials that a plan refers to: by the secret
// reference of the mount, then by option. Secrets are those of the set.
func (s *Set) Credentials(p *plan.Plan) (map[string]map[string]string, error) {
	resolved := map[string]map[string]string{}
	for _, c := range p.Credentials {
		values := map[string]string{}
		for option, value := range c.Literal {
			values[option] = string(value)
		}
		for _, ref := range c.Refs {
			value, found, err := s.secretValue(p.Namespace, c.SecretRef, ref)
			if err != nil {
				return nil, err
			}
			if found {
				values[ref.Option] = value
			}
		}
		resolved[c.SecretRef] = values
	}
	return resolved, nil
}

func (s *Set) secretValue(namespace, mount string, ref plan.SecretKeyRef) (value string, found bool, err error) {
	secret := s.secret(namespace, ref.Name)
	if secret == nil {
		return "", false, clierror.Usagef("option %s of mount %q is in Secret %q, which is in none of the manifests", ref.Option, mount, ref.Name).
			WithHint("no cluster is read here: add a manifest of the Secret with -f")
	}
	if text, ok := secret.StringData[ref.Key]; ok {
		return text, true, nil
	}
	if raw, ok := secret.Data[ref.Key]; ok {
		return string(raw), true, nil
	}
	if ref.Optional {
		return "", false, nil
	}
	return "", false, clierror.Usagef("option %s of mount %q is key %q of Secret %q, which has no such key", ref.Option, mount, ref.Key, ref.Name)
}

func (s *Set) secret(namespace, name string) *corev1.Secret {
	for _, secret := range s.Secrets {
		if secret.Namespace == namespace && secret.Name == name {
			return secret
		}
	}
	return nil
}
