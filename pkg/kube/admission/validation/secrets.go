package validation

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// maxSecrets is the number of Secrets that are read for one object. Others are
// not checked.
const maxSecrets = 32

// secrets reads the Secrets that one object refers to, each of them once and by
// name. Values are not retained.
type secrets struct {
	*check
	read map[string]*read
}

type read struct {
	// found is true if the Secret could be read.
	found bool
	// keys maps the keys of the Secret to whether their value is not blank.
	keys map[string]bool
}

func (c *check) secrets() *secrets {
	return &secrets{check: c, read: map[string]*read{}}
}

// secretKey identifies a key of a Secret.
type secretKey struct{ name, key string }

// keysOf returns the keys that the options of a Dataset refer to. The Dataset may
// be nil.
func keysOf(dataset *v1alpha1.Dataset) map[secretKey]bool {
	keys := map[secretKey]bool{}
	if dataset == nil {
		return keys
	}
	add := func(options []v1alpha1.EncryptOption) {
		for _, option := range options {
			ref := option.ValueFrom.SecretKeyRef
			keys[secretKey{ref.Name, ref.Key}] = true
		}
	}
	add(dataset.Spec.SharedEncryptOptions)
	for _, mount := range dataset.Spec.Mounts {
		add(mount.EncryptOptions)
	}
	return keys
}

// key checks the reference of an option.
func (s *secrets) key(ctx context.Context, path *field.Path, option v1alpha1.EncryptOption) {
	ref := option.ValueFrom.SecretKeyRef
	if ref.Name == "" || ref.Key == "" {
		return // reported by v1alpha1.Validate
	}
	s.has(ctx, path.Child("valueFrom", "secretKeyRef"), secretKey{ref.Name, ref.Key})
}

// has reports an error if a Secret lacks a key, and a warning if the Secret does
// not exist. It does nothing if Secrets are not read.
func (s *secrets) has(ctx context.Context, path *field.Path, wanted secretKey) {
	if !s.readSecrets {
		return
	}
	secret := s.get(ctx, path, wanted.name)
	if !secret.found {
		return
	}
	filled, has := secret.keys[wanted.key]
	var why string
	switch {
	case !has:
		why = fmt.Sprintf("Secret %s in namespace %s has no key %s: add it to the Secret, or refer to the key that holds the value", wanted.name, s.namespace, wanted.key)
	case !filled:
		why = fmt.Sprintf("key %s of Secret %s in namespace %s is empty: set its value", wanted.key, wanted.name, s.namespace)
	default:
		return
	}
	if s.before[wanted] {
		s.warn(path, "%s", why)
		return
	}
	s.errs = append(s.errs, field.Invalid(path, wanted.key, why))
}

// get reads a Secret. If that fails, it warns once.
func (s *secrets) get(ctx context.Context, path *field.Path, name string) *read {
	if before, is := s.read[name]; is {
		return before
	}
	result := &read{}
	s.read[name] = result
	if len(s.read) > maxSecrets {
		return result
	}
	var secret corev1.Secret
	err := s.reader.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		s.warn(path, "Secret %s not found in namespace %s: create it", name, s.namespace)
		return result
	case err != nil:
		s.warn(path, "could not read Secret %s in namespace %s: %v", name, s.namespace, err)
		return result
	}
	result.found, result.keys = true, map[string]bool{}
	for key, value := range secret.Data {
		result.keys[key] = strings.TrimSpace(string(value)) != ""
	}
	return result
}
