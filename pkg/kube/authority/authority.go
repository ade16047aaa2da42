// Package authority manages the certificates of runtimes on Kubernetes: one
// certificate authority per runtime, whose key is in the system namespace, and one
// Secret per role in the runtime's namespace.
//
// A valid certificate with the right name, signed by the runtime's authority, is
// not replaced during the first two thirds of its lifetime, so scaling a runtime
// does not reissue existing certificates. Secrets are read with GET requests only,
// never listed or watched, and written only if they change.
package authority

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
)

const (
	// certLifetime is the lifetime of certificates. They are renewed when less
	// than renewBefore remains.
	certLifetime = 365 * 24 * time.Hour
	renewBefore  = certLifetime / 3
	// identityLifetime is the lifetime of the controllers' own certificates, which
	// are kept in memory.
	identityLifetime = 24 * time.Hour
	// recheckInterval is how often Secrets are read again if their desired state
	// has not changed.
	recheckInterval = time.Minute

	caKey = "ca.key"
)

// Manager manages the Secrets of all runtimes. It is safe for concurrent use.
type Manager struct {
	// Client writes. Live reads from the API server, not from a cache.
	Client client.Client
	Live   client.Reader
	// SystemNamespace is the namespace of the authorities' Secrets.
	SystemNamespace string
	// Now returns the current time; nil selects time.Now.
	Now func() time.Time

	mu    sync.Mutex
	cache map[types.UID]cachedState
}

// cachedState is the state of a runtime's Secrets at the last check.
type cachedState struct {
	authority *mtls.Authority
	digest    string
	checkedAt time.Time
}

func (m *Manager) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// Authority returns the authority of a runtime, and creates it if necessary.
func (m *Manager) Authority(ctx context.Context, runtime *v1alpha1.JindoRuntime) (*mtls.Authority, error) {
	m.mu.Lock()
	known, ok := m.cache[runtime.UID]
	m.mu.Unlock()
	if ok && known.authority != nil && m.now().Sub(known.checkedAt) < recheckInterval {
		return known.authority, nil
	}
	name := names.AuthoritySecret(string(runtime.UID))
	secret := &corev1.Secret{}
	err := m.Live.Get(ctx, client.ObjectKey{Namespace: m.SystemNamespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		secret, err = m.create(ctx, runtime, name)
	}
	if err != nil {
		return nil, fmt.Errorf("get authority of JindoRuntime %s/%s, Secret %s/%s: %w",
			runtime.Namespace, runtime.Name, m.SystemNamespace, name, err)
	}
	authority, err := mtls.ParseAuthority(secret.Data[mtls.CAFile], secret.Data[caKey])
	if err != nil {
		return nil, fmt.Errorf("parse authority in Secret %s/%s (delete the Secret to reissue every certificate of JindoRuntime %s/%s): %w",
			m.SystemNamespace, name, runtime.Namespace, runtime.Name, err)
	}
	return authority, nil
}

// create creates an authority. If another controller has created one meanwhile, it
// returns that one.
func (m *Manager) create(ctx context.Context, runtime *v1alpha1.JindoRuntime, name string) (*corev1.Secret, error) {
	authority, err := mtls.NewAuthority(runtime.Namespace + "/" + runtime.Name)
	if err != nil {
		return nil, err
	}
	key, err := authority.KeyPEM()
	if err != nil {
		return nil, err
	}
	labels := names.Labels(runtime.Name, "")
	labels[names.LabelRuntimeNamespace], labels[names.LabelRuntimeName] = runtime.Namespace, runtime.Name
	labels[names.LabelRuntimeUID] = string(runtime.UID)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.SystemNamespace, Name: name, Labels: labels},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{mtls.CAFile: authority.CertPEM(), caKey: key},
	}
	err = m.Client.Create(ctx, secret, client.FieldOwner(names.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		existing := &corev1.Secret{}
		err = m.Live.Get(ctx, client.ObjectKeyFromObject(secret), existing)
		return existing, err
	}
	return secret, err
}

// Identity issues a certificate of role admin, with which a client can call the
// components of a runtime. It is valid for 24 hours.
func Identity(authority *mtls.Authority, name string) (*mtls.Identity, error) {
	pair, err := authority.Issue(mtls.Peer{Role: mtls.Admin, Name: name}, nil, identityLifetime)
	if err != nil {
		return nil, err
	}
	return mtls.NewIdentity(pair)
}

// Forget drops the cached state of a deleted runtime.
func (m *Manager) Forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.cache, uid)
}
