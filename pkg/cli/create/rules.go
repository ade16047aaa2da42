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

// checkRules checks the change from old, which is nil for a new object, to u by
// the rules that concern other objects. The webhook has the same rules, but may
// not be installed.
func (s *sender) checkRules(ctx context.Context, reader client.Reader, old, u *unstructured.Unstructured) error {
	object := newObject(u)
	if object == nil {
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
		return fmt.Errorf("decode %s: %w", describe(u), err)
	}
	var before client.Object
	if old != nil {
		before = newObject(u)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(old.Object, before); err != nil {
			return fmt.Errorf("decode %s: %w", describe(u), err)
		}
	}
	warnings, err := validation.CheckChange(ctx, reader, before, object)
	s.warn(warnings...)
	if err != nil {
		return clierror.Usagef("%s is invalid: %s", describe(u), strings.Trim(err.Error(), "[]"))
	}
	return nil
}

// newObject returns an empty typed object if the kind has rules, and nil otherwise.
func newObject(u *unstructured.Unstructured) client.Object {
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

// reader returns a reader of the cluster as it will be with the Secrets among the
// objects.
func (s *sender) reader(objects []*unstructured.Unstructured) client.Reader {
	o := overlay{Reader: s.cluster.Client, secrets: map[client.ObjectKey]*unstructured.Unstructured{}}
	for _, u := range objects {
		if u.GetKind() == "Secret" {
			o.secrets[client.ObjectKeyFromObject(u)] = u
		}
	}
	return o
}

type overlay struct {
	client.Reader
	secrets map[client.ObjectKey]*unstructured.Unstructured
}

// Get implements client.Reader.
func (o overlay) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	secret, wanted := into.(*corev1.Secret)
	if wanted && o.secrets[key] != nil {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.secrets[key].Object, secret); err != nil {
			return fmt.Errorf("decode Secret %s: %w", key, err)
		}
		return nil
	}
	return o.Reader.Get(ctx, key, into, options...)
}
