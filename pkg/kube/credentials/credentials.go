// Package credentials keeps the Secret of a runtime that holds the credentials
// of its mounts in step with the Secrets that people name.
//
// It reads those one at a time, and never lists, caches or logs any. Workers
// have the Secret mounted and read it again when it changes, so nobody
// restarts. A Secret that disappears takes nothing away: the values that it had
// go on being used until the store refuses them, and a [Problem] says so.
package credentials

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
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

// timeout of all calls of one Sync.
const timeout = 30 * time.Second

// role of the Secret among those of a runtime.
const role = "credentials"

// Problem is a credential that is not to be had.
type Problem struct {
	// Mount that needs it.
	Mount string
	// Message says, for people, what is missing where and what to create.
	Message string
}

// Result of one Sync.
type Result struct {
	Problems []Problem
	// Changed: the Secret was written.
	Changed bool
}

// Sync makes the Secret [names.Secret] of the role credentials hold what the
// plan's mounts need, a key each named by [ufs.CredentialKey]. It writes only
// what differs.
func Sync(ctx context.Context, c client.Client, live client.Reader, owner *v1alpha1.JindoRuntime, p *plan.Plan) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name := types.NamespacedName{Namespace: owner.Namespace, Name: names.Secret(owner.Name, role)}
	current := &corev1.Secret{}
	err := live.Get(ctx, name, current)
	if client.IgnoreNotFound(err) != nil {
		return Result{}, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	missing := err != nil
	if !missing && current.Labels[names.LabelManagedBy] != names.ManagedBy {
		return Result{Problems: conflictProblems(name, p)}, nil
	}
	collection := collector{ctx: ctx, live: live, namespace: owner.Namespace, old: current.Data, data: map[string][]byte{}, read: map[string]secretResult{}}
	if err := collection.collect(p.Credentials); err != nil {
		return Result{}, err
	}
	result := Result{Problems: collection.problems}
	if same := maps.EqualFunc(current.Data, collection.data, bytes.Equal); missing && len(collection.data) == 0 || !missing && same {
		return result, nil
	}
	if err := c.Apply(ctx, secret(name, owner, collection.data), client.FieldOwner(names.FieldManager), client.ForceOwnership); err != nil {
		return result, fmt.Errorf("applying Secret %s: %w", name, err)
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

// foreign is the problem of every mount when somebody else's Secret has the
// name of ours.
func conflictProblems(name types.NamespacedName, p *plan.Plan) []Problem {
	var problems []Problem
	for _, c := range p.Credentials {
		problems = append(problems, Problem{Mount: c.SecretRef, Message: fmt.Sprintf(
			"there is a Secret %s in namespace %s that was not made for this runtime, and its credentials go under that name: delete it, or give the JindoRuntime another name",
			name.Name, name.Namespace)})
	}
	return problems
}

// found is a Secret as it was read, or why it could not be.
type secretResult struct {
	data    map[string][]byte
	problem string
}

// collector gathers the values of all mounts.
type collector struct {
	ctx       context.Context //nolint:containedctx // of one call of Sync
	live      client.Reader
	namespace string
	old       map[string][]byte
	data      map[string][]byte
	read      map[string]secretResult
	problems  []Problem
}

func (c *collector) collect(all []plan.Credentials) error {
	for _, mount := range all {
		for _, option := range slices.Sorted(maps.Keys(mount.Literal)) {
			c.data[ufs.CredentialKey(mount.SecretRef, option)] = []byte(string(mount.Literal[option]))
		}
		for _, ref := range mount.Refs {
			if err := c.collectRef(mount.SecretRef, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *collector) collectRef(mount string, ref plan.SecretKeyRef) error {
	secret, err := c.secret(ref.Name)
	if err != nil {
		return err
	}
	key := ufs.CredentialKey(mount, ref.Option)
	value, has := secret.data[ref.Key]
	empty := strings.TrimSpace(string(value)) == ""
	switch {
	case secret.problem != "":
		// An optional key is that of a Secret whose other keys are needed.
		c.keepPrevious(mount, key, ref, secret.problem, ref.Optional)
	case !has:
		c.keepPrevious(mount, key, ref, fmt.Sprintf("Secret %s in namespace %s has no key %s: add it", ref.Name, c.namespace, ref.Key), ref.Optional)
		if ref.Optional {
			delete(c.data, key)
		}
	case empty:
		c.keepPrevious(mount, key, ref, fmt.Sprintf("key %s of Secret %s in namespace %s is empty: write the value into it", ref.Key, ref.Name, c.namespace), ref.Optional)
	default:
		c.data[key] = value
	}
	return nil
}

// missing keeps what was there before.
func (c *collector) keepPrevious(mount, key string, ref plan.SecretKeyRef, why string, silent bool) {
	old, kept := c.old[key]
	if kept {
		c.data[key] = old
		why += "; until then the last value that was read goes on being used"
	}
	if !silent {
		c.problems = append(c.problems, Problem{Mount: mount, Message: ref.Option + ": " + why})
	}
}

// secret reads each Secret once.
func (c *collector) secret(name string) (secretResult, error) {
	if secret, ok := c.read[name]; ok {
		return secret, nil
	}
	object := &corev1.Secret{}
	err := c.live.Get(c.ctx, types.NamespacedName{Namespace: c.namespace, Name: name}, object)
	var secret secretResult
	switch {
	case err == nil:
		secret.data = object.Data
	case apierrors.IsNotFound(err):
		secret.problem = fmt.Sprintf("there is no Secret %s in namespace %s: create it", name, c.namespace)
	case apierrors.IsForbidden(err):
		secret.problem = fmt.Sprintf("the controller may not read Secret %s in namespace %s: allow its service account to get secrets there", name, c.namespace)
	default:
		return secretResult{}, fmt.Errorf("reading Secret %s/%s: %w", c.namespace, name, err)
	}
	c.read[name] = secret
	return secret, nil
}
