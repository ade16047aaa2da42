package validation

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// secretTimeout of reading all Secrets that one object names.
const secretTimeout = 3 * time.Second

// maxSecrets that are read for one object.
const maxSecrets = 32

// secrets reads each Secret once, one by one; none is listed or kept.
type secrets struct {
	*check
	read map[string]*read
	// until is when reading ends; what is left is not looked at.
	until time.Time
}

type read struct {
	// there: it could be read, and has these keys with a value or without.
	there bool
	keys  map[string]bool
}

func (c *check) secrets() *secrets {
	return &secrets{check: c, read: map[string]*read{}, until: time.Now().Add(secretTimeout)}
}

// secretKey is one key of one Secret.
type secretKey struct{ name, key string }

// keysOf a Dataset's options; of none for nil.
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
		return // refused by the validator of one object
	}
	s.has(ctx, path.Child("valueFrom", "secretKeyRef"), secretKey{ref.Name, ref.Key})
}

// has refuses a Secret that lacks a key, and warns of one that is not there.
func (s *secrets) has(ctx context.Context, path *field.Path, wanted secretKey) {
	secret := s.get(ctx, path, wanted.name)
	if !secret.there {
		return
	}
	filled, has := secret.keys[wanted.key]
	var why string
	switch {
	case !has:
		why = fmt.Sprintf("Secret %s in namespace %s has no key %s: add it to the Secret, or write the key that holds the value", wanted.name, s.namespace, wanted.key)
	case !filled:
		why = fmt.Sprintf("key %s of Secret %s in namespace %s is empty: write the value into it", wanted.key, wanted.name, s.namespace)
	default:
		return
	}
	if s.before[wanted] {
		s.warn(path, "%s", why)
		return
	}
	s.errs = append(s.errs, field.Invalid(path, wanted.key, why))
}

// get reads a Secret, and warns once of what keeps it from being read.
func (s *secrets) get(ctx context.Context, path *field.Path, name string) *read {
	if before, is := s.read[name]; is {
		return before
	}
	result := &read{}
	s.read[name] = result
	if len(s.read) > maxSecrets {
		return result
	}
	ctx, cancel := context.WithDeadline(ctx, s.until)
	defer cancel()
	var secret corev1.Secret
	err := s.reader.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		s.warn(path, "there is no Secret %s in namespace %s yet: create it", name, s.namespace)
		return result
	case err != nil:
		s.warn(path, "Secret %s in namespace %s could not be looked at: %v", name, s.namespace, err)
		return result
	}
	result.there, result.keys = true, map[string]bool{}
	for key, value := range secret.Data {
		result.keys[key] = strings.TrimSpace(string(value)) != ""
	}
	return result
}
