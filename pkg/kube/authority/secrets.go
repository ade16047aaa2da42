package authority

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// certificate is one certificate in a Secret.
type certificate struct {
	peer  mtls.Peer
	hosts []string
	// grants are the mounts of a fuse certificate.
	grants    []mtls.Grant
	cert, key string // keys in the Secret
}

// desiredSecret is the desired content of one Secret.
type desiredSecret struct {
	role         string
	certificates []certificate
	// files are the other keys.
	files map[string][]byte
}

// Sync creates or updates the Secrets of a runtime's roles.
func (m *Manager) Sync(ctx context.Context, runtime *v1alpha1.JindoRuntime, authority *mtls.Authority, p *plan.Plan, members topology.Topology) error {
	secrets, err := desiredSecrets(p, members, authority)
	if err != nil {
		return err
	}
	digest := digestOf(secrets)
	m.mu.Lock()
	known := m.cache[runtime.UID]
	m.mu.Unlock()
	if known.digest == digest && m.now().Sub(known.checkedAt) < recheckInterval {
		return nil
	}
	at := m.now()
	for _, want := range secrets {
		if err := m.sync(ctx, runtime, authority, want); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cache == nil {
		m.cache = map[types.UID]cachedState{}
	}
	m.cache[runtime.UID] = cachedState{authority: authority, digest: digest, checkedAt: at}
	return nil
}

func desiredSecrets(p *plan.Plan, members topology.Topology, authority *mtls.Authority) ([]desiredSecret, error) {
	raw, err := members.Marshal()
	if err != nil {
		return nil, err
	}
	ca := map[string][]byte{mtls.CAFile: authority.CertPEM()}
	args, err := json.Marshal(fuseArgs(p.Fuse))
	if err != nil {
		return nil, fmt.Errorf("encode arguments of FUSE servers: %w", err)
	}
	forFuse := map[string][]byte{mtls.CAFile: authority.CertPEM(), names.FuseSecretRoster: raw, names.FuseSecretArgs: args}
	single := func(role mtls.Role, name string) []certificate {
		return []certificate{{peer: mtls.Peer{Role: role, Name: name}, cert: mtls.CertFile, key: mtls.KeyFile}}
	}
	// FUSE servers present the whole file tree of the runtime. They open stores
	// themselves only if there are no workers to read through.
	fuse := single(mtls.Fuse, names.Component(p.Name, string(plan.RoleFuse)))
	fuse[0].grants = []mtls.Grant{{Path: "/", Store: p.Workers == nil}}
	secrets := []desiredSecret{
		{role: string(plan.RoleFuse), certificates: fuse, files: forFuse},
		{role: "admin", certificates: single(mtls.Admin, "admin"), files: ca},
	}
	if p.Masters != nil {
		secrets = append(secrets, desiredSecret{role: string(plan.RoleMaster), certificates: instances(mtls.Master, render.Masters(p, members.ClusterID)), files: ca})
	}
	if p.Workers != nil {
		secrets = append(secrets, desiredSecret{role: string(plan.RoleWorker), certificates: instances(mtls.Worker, members.Workers), files: ca})
	}
	return secrets, nil
}

// fuseArgs returns the arguments of a FUSE server that also apply in a sidecar:
// those without variables, which refer to paths in the runtime's own pods.
func fuseArgs(c *plan.Component) []string {
	args := []string{}
	if c == nil {
		return args
	}
	for _, arg := range c.Args {
		if !strings.Contains(arg, "$(") {
			args = append(args, arg)
		}
	}
	return args
}

func instances(role mtls.Role, members []topology.Member) []certificate {
	leaves := make([]certificate, len(members))
	for i, m := range members {
		leaves[i] = certificate{peer: mtls.Peer{Role: role, Name: m.Name}, hosts: []string{m.Host, m.Name}, cert: m.Name + ".crt", key: m.Name + ".key"}
	}
	return leaves
}

func digestOf(secrets []desiredSecret) string {
	sum := sha256.New()
	for _, s := range secrets {
		fmt.Fprintln(sum, s.role, s.certificates)
		for _, name := range slices.Sorted(maps.Keys(s.files)) {
			fmt.Fprintln(sum, name, len(s.files[name]))
			sum.Write(s.files[name])
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (m *Manager) sync(ctx context.Context, runtime *v1alpha1.JindoRuntime, authority *mtls.Authority, want desiredSecret) error {
	key := client.ObjectKey{Namespace: runtime.Namespace, Name: names.Secret(runtime.Name, want.role)}
	current := &corev1.Secret{}
	err := m.Live.Get(ctx, key, current)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get Secret %s: %w", key, err)
	}
	missing := err != nil
	if !missing && !metav1.IsControlledBy(current, runtime) {
		return fmt.Errorf("sync Secret %s: it already exists and does not belong to this JindoRuntime: delete it, or give the runtime another name", key)
	}
	data, err := m.secretData(authority, current.Data, want)
	if err != nil {
		return err
	}
	if !missing && maps.EqualFunc(data, current.Data, bytes.Equal) {
		return nil
	}
	next := current.DeepCopy()
	next.Namespace, next.Name, next.Type, next.Data = key.Namespace, key.Name, corev1.SecretTypeOpaque, data
	next.Labels = names.Labels(runtime.Name, want.role)
	next.OwnerReferences = []metav1.OwnerReference{render.Owner(runtime)}
	if missing {
		err = m.Client.Create(ctx, next, client.FieldOwner(names.FieldManager))
	} else {
		err = m.Client.Update(ctx, next, client.FieldOwner(names.FieldManager))
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", key, err)
	}
	return nil
}

// secretData returns the desired data of a Secret. Existing certificates are kept
// while they are valid.
func (m *Manager) secretData(authority *mtls.Authority, current map[string][]byte, want desiredSecret) (map[string][]byte, error) {
	data := maps.Clone(want.files)
	for _, l := range want.certificates {
		cert, key := current[l.cert], current[l.key]
		if !m.valid(authority, l, cert, key) {
			pair, err := authority.Issue(l.peer, l.hosts, certLifetime, l.grants...)
			if err != nil {
				return nil, err
			}
			cert, key = pair.Cert, pair.Key
		}
		data[l.cert], data[l.key] = cert, key
	}
	return data, nil
}

// valid reports whether a certificate is valid and does not need renewal.
func (m *Manager) valid(authority *mtls.Authority, l certificate, certPEM, keyPEM []byte) bool {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.CertPEM()) {
		return false
	}
	now := m.now()
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || pair.Leaf.NotAfter.Sub(now) < renewBefore {
		return false
	}
	peer, err := mtls.PeerOf(pair.Leaf)
	if err != nil || peer != l.peer || !slices.Equal(mtls.GrantsOf(pair.Leaf), l.grants) {
		return false
	}
	for _, host := range l.hosts {
		if !slices.Contains(pair.Leaf.DNSNames, host) {
			return false
		}
	}
	return true
}
