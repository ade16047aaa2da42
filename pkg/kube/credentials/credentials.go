// Package credentials synchronizes the Secret with the credentials of a runtime's
// mounts with the Secrets that the Dataset references.
//
// It reads referenced Secrets with single GET requests, and never lists, caches or
// logs them. Workers mount the runtime's Secret and read it again when it changes,
// so no restart is needed. If a referenced Secret is deleted, its last values remain
// in use until the store rejects them, and a [Problem] reports it.
package credentials

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// timeout is the timeout of one Sync.
const timeout = 30 * time.Second

// role is the role in the name of the Secret.
const role = "credentials"

// Problem reports a credential that is not available.
type Problem struct {
	// Mount is the mount that needs the credential.
	Mount string
	// Message tells the user what is missing and how to fix it.
	Message string
}

// Result is the result of one Sync.
type Result struct {
	Problems []Problem
	// Changed reports whether the Secret was written.
	Changed bool
}

// Sync writes the credentials of the plan's mounts to the Secret of role
// credentials (see [names.Secret]), with keys as returned by [ufs.CredentialKey].
// It does not write an unchanged Secret. It returns an error if a request fails;
// missing credentials are Problems.
func Sync(ctx context.Context, c client.Client, live client.Reader, owner *v1alpha1.JindoRuntime, p *plan.Plan) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name := types.NamespacedName{Namespace: owner.Namespace, Name: names.Secret(owner.Name, role)}
	current := &corev1.Secret{}
	err := live.Get(ctx, name, current)
	if client.IgnoreNotFound(err) != nil {
		return Result{}, fmt.Errorf("get Secret %s: %w", name, err)
	}
	missing := err != nil
	if !missing && current.Labels[names.LabelManagedBy] != names.ManagedBy {
		return Result{Problems: conflictProblems(name, p)}, nil
	}
	collection := collector{live: live, namespace: owner.Namespace, own: name.Name, old: current.Data, data: map[string][]byte{}, read: map[string]secretResult{}}
	if err := collection.collect(ctx, p.Credentials); err != nil {
		return Result{}, err
	}
	collection.keepRetired(p.RetiredSecretRefs)
	if p.CredentialsRevision > 0 {
		collection.data[ufs.CredentialsRevision] = []byte(strconv.FormatInt(p.CredentialsRevision, 10))
	}
	result := Result{Problems: collection.problems}
	if same := maps.EqualFunc(current.Data, collection.data, bytes.Equal); missing && len(collection.data) == 0 || !missing && same {
		return result, nil
	}
	if err := c.Apply(ctx, secret(name, owner, collection.data), client.FieldOwner(names.FieldManager), client.ForceOwnership); err != nil {
		return result, fmt.Errorf("apply Secret %s: %w", name, err)
	}
	result.Changed = true
	return result, nil
}

func secret(name types.NamespacedName, owner *v1alpha1.JindoRuntime, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	reference := metav1ac.OwnerReference().WithAPIVersion(v1alpha1.APIVersion).WithKind(v1alpha1.JindoRuntimeKind).
		WithName(owner.Name).WithUID(owner.UID).WithController(true)
	return corev1ac.Secret(name.Name, name.Namespace).WithLabels(names.Labels(owner.Name, "")).
		WithOwnerReferences(reference).WithType(corev1.SecretTypeOpaque).WithData(data)
}

// conflictProblems returns a problem for every mount: a Secret that is not managed
// by this product has the name of the runtime's Secret.
func conflictProblems(name types.NamespacedName, p *plan.Plan) []Problem {
	var problems []Problem
	for _, c := range p.Credentials {
		problems = append(problems, Problem{Mount: c.Mount, Message: fmt.Sprintf(
			"Secret %s in namespace %s already exists and does not belong to this runtime, which needs the name for its credentials: delete it, or give the JindoRuntime another name",
			name.Name, name.Namespace)})
	}
	return problems
}

// secretResult is the data of a Secret, or the reason why it is not available.
type secretResult struct {
	data    map[string][]byte
	problem string
}

// collector collects the values of all mounts.
type collector struct {
	live      client.Reader
	namespace string
	// own is the name of the Secret that is synchronized. A reference to it keeps the
	// last value of a credential that the Dataset no longer has as plain text.
	own      string
	old      map[string][]byte
	data     map[string][]byte
	read     map[string]secretResult
	problems []Problem
}

func (c *collector) collect(ctx context.Context, all []plan.Credentials) error {
	for _, mount := range all {
		for _, option := range slices.Sorted(maps.Keys(mount.Literal)) {
			c.data[ufs.CredentialKey(mount.SecretRef, option)] = []byte(string(mount.Literal[option]))
		}
		for _, ref := range mount.Refs {
			if err := c.collectRef(ctx, mount, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepRetired keeps the values of credentials that the plan no longer has and that may
// still be in use.
func (c *collector) keepRetired(refs []string) {
	for _, ref := range refs {
		for key, value := range c.old {
			if _, current := c.data[key]; !current && strings.HasPrefix(key, ufs.CredentialKey(ref, "")) {
				c.data[key] = value
			}
		}
	}
}

func (c *collector) collectRef(ctx context.Context, mount plan.Credentials, ref plan.SecretKeyRef) error {
	if ref.Name == c.own {
		c.keepOwn(mount, ref)
		return nil
	}
	secret, err := c.secret(ctx, ref.Name)
	if err != nil {
		return err
	}
	key := ufs.CredentialKey(mount.SecretRef, ref.Option)
	value, has := secret.data[ref.Key]
	empty := strings.TrimSpace(string(value)) == ""
	switch {
	case secret.problem != "":
		// An optional key is not reported: the other keys of the same Secret are
		// required and are.
		c.keepPrevious(mount.Mount, key, ref, secret.problem, ref.Optional)
	case !has:
		c.keepPrevious(mount.Mount, key, ref, fmt.Sprintf("Secret %s in namespace %s has no key %s: add it", ref.Name, c.namespace, ref.Key), ref.Optional)
		if ref.Optional {
			delete(c.data, key)
		}
	case empty:
		c.keepPrevious(mount.Mount, key, ref, fmt.Sprintf("key %s of Secret %s in namespace %s is empty: write the value into it", ref.Key, ref.Name, c.namespace), ref.Optional)
	default:
		c.data[key] = value
	}
	return nil
}

// keepOwn keeps the value that the Secret has under the key of a reference to itself.
func (c *collector) keepOwn(mount plan.Credentials, ref plan.SecretKeyRef) {
	value, has := c.old[ref.Key]
	if !has {
		c.problems = append(c.problems, Problem{Mount: mount.Mount, Message: fmt.Sprintf(
			"%s: its value is in neither the Dataset nor Secret %s in namespace %s: write it into the Dataset, with the mount as it was", ref.Option, c.own, c.namespace)})
		return
	}
	c.data[ufs.CredentialKey(mount.SecretRef, ref.Option)] = value
}

// keepPrevious keeps the previous value of a credential that is not available and,
// unless silent, reports a problem.
func (c *collector) keepPrevious(mount, key string, ref plan.SecretKeyRef, problem string, silent bool) {
	old, kept := c.old[key]
	if kept {
		c.data[key] = old
		problem += "; the last known value is used until then"
	}
	if !silent {
		c.problems = append(c.problems, Problem{Mount: mount, Message: ref.Option + ": " + problem})
	}
}

// secret reads a Secret, each one once.
func (c *collector) secret(ctx context.Context, name string) (secretResult, error) {
	if secret, ok := c.read[name]; ok {
		return secret, nil
	}
	object := &corev1.Secret{}
	err := c.live.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: name}, object)
	var secret secretResult
	switch {
	case err == nil:
		secret.data = object.Data
	case apierrors.IsNotFound(err):
		secret.problem = fmt.Sprintf("Secret %s in namespace %s not found: create it", name, c.namespace)
	case apierrors.IsForbidden(err):
		secret.problem = fmt.Sprintf("the controller is not allowed to read Secret %s in namespace %s: allow its service account to get secrets there", name, c.namespace)
	default:
		return secretResult{}, fmt.Errorf("get Secret %s/%s: %w", c.namespace, name, err)
	}
	c.read[name] = secret
	return secret, nil
}
