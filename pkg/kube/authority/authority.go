// Package authority keeps the certificates of runtimes on Kubernetes: one
// certificate authority a runtime, whose key stays in the system namespace, and
// one Secret a role beside the runtime's pods.
//
// What it promises: a certificate that is valid, of the right name and signed
// by the runtime's authority is never replaced before two thirds of its life
// are over, so a runtime that grows reissues nobody's. Secrets are read with
// get only, never listed or watched, and written only when they change.
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
	// life of what the authority signs; it is renewed when a third is left.
	certLifetime = 365 * 24 * time.Hour
	renewBefore  = certLifetime / 3
	// identityLife of the controllers' own certificates, which stay in memory.
	identityLifetime = 24 * time.Hour
	// checkEvery is how often Secrets are read again although nothing is to
	// change in them.
	recheckInterval = time.Minute

	caKey = "ca.key"
)

// Keeper keeps the Secrets of all runtimes. It is safe for concurrent use.
type Manager struct {
	// Client writes, and Live reads past every cache.
	Client client.Client
	Live   client.Reader
	// SystemNamespace holds the authorities.
	SystemNamespace string
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu    sync.Mutex
	cache map[types.UID]cachedState
}

// check is what is known of the Secrets of one runtime.
type cachedState struct {
	authority *mtls.Authority
	digest    string
	checkedAt time.Time
}

func (k *Manager) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

// Authority answers the authority of a runtime, made when there is none.
func (k *Manager) Authority(ctx context.Context, runtime *v1alpha1.JindoRuntime) (*mtls.Authority, error) {
	k.mu.Lock()
	known, ok := k.cache[runtime.UID]
	k.mu.Unlock()
	if ok && known.authority != nil && k.now().Sub(known.checkedAt) < recheckInterval {
		return known.authority, nil
	}
	name := names.AuthoritySecret(string(runtime.UID))
	secret := &corev1.Secret{}
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: k.SystemNamespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		secret, err = k.create(ctx, runtime, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the authority of JindoRuntime %s/%s, Secret %s/%s: %w",
			runtime.Namespace, runtime.Name, k.SystemNamespace, name, err)
	}
	authority, err := mtls.ParseAuthority(secret.Data[mtls.CAFile], secret.Data[caKey])
	if err != nil {
		return nil, fmt.Errorf("Secret %s/%s is damaged (delete it, and every certificate of JindoRuntime %s/%s is issued anew): %w", //nolint:staticcheck // A Kind begins it.
			k.SystemNamespace, name, runtime.Namespace, runtime.Name, err)
	}
	return authority, nil
}

// create makes an authority. Where another controller was faster, its authority
// is the one.
func (k *Manager) create(ctx context.Context, runtime *v1alpha1.JindoRuntime, name string) (*corev1.Secret, error) {
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
		ObjectMeta: metav1.ObjectMeta{Namespace: k.SystemNamespace, Name: name, Labels: labels},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{mtls.CAFile: authority.CertPEM(), caKey: key},
	}
	err = k.Client.Create(ctx, secret, client.FieldOwner(names.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		there := &corev1.Secret{}
		err = k.Live.Get(ctx, client.ObjectKeyFromObject(secret), there)
		return there, err
	}
	return secret, err
}

// Identity is a certificate of the role admin for whoever calls the components
// of a runtime. It is good for half a day.
func Identity(authority *mtls.Authority, name string) (*mtls.Identity, error) {
	pair, err := authority.Issue(mtls.Peer{Role: mtls.Admin, Name: name}, nil, identityLifetime)
	if err != nil {
		return nil, err
	}
	return mtls.NewIdentity(pair)
}

// Forget drops what is known of a runtime that is gone.
func (k *Manager) Forget(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.cache, uid)
}
