package create

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/kube/admission/validation"
)

// rules holds the objects against what is there, as the webhook does: it may not
// be installed.
func (s *sender) rules(ctx context.Context, objects []*unstructured.Unstructured) error {
	reader := overlay{Reader: s.cluster.Client, secrets: map[client.ObjectKey]*corev1.Secret{}}
	for _, u := range objects {
		if u.GetKind() != "Secret" {
			continue
		}
		secret := &corev1.Secret{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, secret); err != nil {
			return fmt.Errorf("reading %s: %w", describe(u), err)
		}
		reader.secrets[client.ObjectKeyFromObject(u)] = secret
	}
	for _, u := range objects {
		object, old := empty(u), empty(u)
		if object == nil {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
			return fmt.Errorf("reading %s: %w", describe(u), err)
		}
		// Whoever may not read it, or has to wait for it, hears so when it is sent.
		if err := s.cluster.Get(ctx, client.ObjectKeyFromObject(u), old); err != nil {
			old = nil
		}
		warnings, err := validation.CheckChange(ctx, reader, old, object)
		s.warn(warnings...)
		if err != nil {
			return clierror.Usagef("%s is not valid: %s", describe(u), strings.Trim(err.Error(), "[]"))
		}
	}
	return nil
}

// empty object of a kind that has rules; nil for others.
func empty(u *unstructured.Unstructured) client.Object {
	switch u.GetKind() {
	case v1alpha1.DatasetKind:
		return &v1alpha1.Dataset{}
	case v1alpha1.JindoRuntimeKind:
		return &v1alpha1.JindoRuntime{}
	case v1alpha1.DataLoadKind:
		return &v1alpha1.DataLoad{}
	}
	return nil
}

// overlay reads a cluster as it will be: with the Secrets that are sent too.
type overlay struct {
	client.Reader
	secrets map[client.ObjectKey]*corev1.Secret
}

// Get implements client.Reader.
func (o overlay) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	secret, wanted := into.(*corev1.Secret)
	if wanted && o.secrets[key] != nil {
		o.secrets[key].DeepCopyInto(secret)
		return nil
	}
	return o.Reader.Get(ctx, key, into, options...)
}
