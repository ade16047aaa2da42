package create

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/kube/admission/validation"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// checkRules checks the change from old, which is nil for a new object, to u by
// the rules that concern other objects. The webhook has the same rules, except those
// about Secrets, which it does not read, and may not be installed.
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
	warnings, err := validation.CheckChangeWithSecrets(ctx, reader, before, object)
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

// reader returns a reader of the cluster as it will be with the Secrets and
// JindoRuntimes among the objects.
func (s *sender) reader(objects []*unstructured.Unstructured) client.Reader {
	o := overlay{Reader: s.cluster.Client, secrets: map[client.ObjectKey]*unstructured.Unstructured{}, datasets: map[client.ObjectKey]bool{}}
	for _, u := range objects {
		if u.GetKind() == "Secret" {
			o.secrets[client.ObjectKeyFromObject(u)] = u
		}
		if u.GetKind() == v1alpha1.JindoRuntimeKind {
			o.runtimes = append(o.runtimes, u)
		}
		if u.GetKind() == v1alpha1.DatasetKind {
			o.datasets[client.ObjectKeyFromObject(u)] = true
		}
	}
	return o
}

type overlay struct {
	client.Reader
	secrets  map[client.ObjectKey]*unstructured.Unstructured
	runtimes []*unstructured.Unstructured
	// datasets among the objects are validated themselves, and not read again.
	datasets map[client.ObjectKey]bool
}

// List implements client.Reader. A JindoRuntime among the objects replaces the one of
// the cluster.
func (o overlay) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	if err := o.Reader.List(ctx, into, options...); err != nil {
		return err
	}
	list, ok := into.(*v1alpha1.JindoRuntimeList)
	if !ok {
		return nil
	}
	namespace := client.NewListOptions(options...).Namespace
	for _, u := range o.runtimes {
		if u.GetNamespace() != namespace {
			continue
		}
		sent, err := toRuntime(u)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list.Items, func(r v1alpha1.JindoRuntime) bool { return r.Name == sent.Name })
		if i >= 0 {
			sent.CreationTimestamp = list.Items[i].CreationTimestamp
			list.Items[i] = *sent
			continue
		}
		list.Items = append(list.Items, *sent)
	}
	return nil
}

func toRuntime(u *unstructured.Unstructured) (*v1alpha1.JindoRuntime, error) {
	decoded := &v1alpha1.JindoRuntime{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, decoded); err != nil {
		return nil, fmt.Errorf("decode %s: %w", describe(u), err)
	}
	return decoded, nil
}

// Get implements client.Reader.
func (o overlay) Get(ctx context.Context, key client.ObjectKey, into client.Object) error {
	if _, dataset := into.(*v1alpha1.Dataset); dataset && o.datasets[key] {
		return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.Group, Resource: "datasets"}, key.Name)
	}
	secret, wanted := into.(*corev1.Secret)
	if wanted && o.secrets[key] != nil {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.secrets[key].Object, secret); err != nil {
			return fmt.Errorf("decode Secret %s: %w", key, err)
		}
		return nil
	}
	return o.Reader.Get(ctx, key, into)
}
