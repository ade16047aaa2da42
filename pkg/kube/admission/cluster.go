package admission

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clientcache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// cluster reads the objects that requests refer to, from caches and from the API
// server.
type cluster struct {
	cache  cache.Cache
	live   client.Client
	synced atomic.Bool
}

func newCluster(config *rest.Config, namespace string) (*cluster, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	mapper := staticMapper(scheme)
	live, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	named := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
	}
	cached, err := cache.New(config, cache.Options{
		Scheme: scheme, Mapper: mapper, ReaderFailOnMissingInformer: true,
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.PersistentVolumeClaim{}:               {Transform: ownerAndRequests},
			&admissionv1.MutatingWebhookConfiguration{}:   named(names.PodWebhooks),
			&admissionv1.ValidatingWebhookConfiguration{}: named(names.ValidatingWebhooks),
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{
				namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", names.WebhookAuthority)},
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create caches: %w", err)
	}
	return &cluster{cache: cached, live: live}, nil
}

// staticMapper maps the kinds of the scheme without discovery, so that a process
// can start before the CRDs are installed.
func staticMapper(scheme *runtime.Scheme) meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups())
	for _, object := range []client.Object{
		&corev1.PersistentVolumeClaim{}, &corev1.Secret{}, &v1alpha1.Dataset{}, &v1alpha1.JindoRuntime{},
	} {
		kinds, _, err := scheme.ObjectKinds(object)
		if err == nil {
			mapper.Add(kinds[0], meta.RESTScopeNamespace)
		}
	}
	for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		mapper.Add(admissionv1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	return mapper
}

// ownerAndRequests removes all fields of a claim except those that identify its owner,
// and those that a Dataset requests.
func ownerAndRequests(object any) (any, error) {
	if claim, is := object.(*corev1.PersistentVolumeClaim); is {
		kept := &corev1.PersistentVolumeClaim{TypeMeta: claim.TypeMeta}
		kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = claim.Namespace, claim.Name, claim.UID, claim.ResourceVersion
		kept.Labels = claim.Labels
		kept.Spec.AccessModes, kept.Spec.Resources.Requests = claim.Spec.AccessModes, claim.Spec.Resources.Requests
		return kept, nil
	}
	return object, nil
}

// run keeps the caches up to date until ctx is canceled. It calls changed after
// each change of the authorities' Secret or of a webhook configuration.
func (s *cluster) run(ctx context.Context, changed func()) error {
	for _, object := range []client.Object{&corev1.PersistentVolumeClaim{}, &v1alpha1.Dataset{}, &v1alpha1.JindoRuntime{}} {
		if _, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}
	for _, object := range []client.Object{
		&corev1.Secret{}, &admissionv1.MutatingWebhookConfiguration{}, &admissionv1.ValidatingWebhookConfiguration{},
	} {
		informer, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		_, err = informer.AddEventHandler(clientcache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			UpdateFunc: func(any, any) { changed() },
			DeleteFunc: func(any) { changed() },
		})
		if err != nil {
			return fmt.Errorf("add an event handler for %T: %w", object, err)
		}
	}
	go func() {
		if s.cache.WaitForCacheSync(ctx) {
			s.synced.Store(true)
		}
	}()
	if err := s.cache.Start(ctx); err != nil {
		return fmt.Errorf("run caches: %w", err)
	}
	return nil
}

// ready returns an error while the caches are not synced.
func (s *cluster) ready() error {
	if !s.synced.Load() {
		return errors.New("caches are not synced yet: check that the CRDs are installed")
	}
	return nil
}
