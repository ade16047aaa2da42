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

// sight is what a process sees of the cluster: caches of what requests are
// about, and a client past them.
type sight struct {
	cache  cache.Cache
	live   client.Client
	synced atomic.Bool
}

func newSight(config *rest.Config, namespace string) (*sight, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	mapper := staticMapper(scheme)
	live, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	named := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
	}
	cached, err := cache.New(config, cache.Options{
		Scheme: scheme, Mapper: mapper, ReaderFailOnMissingInformer: true,
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.PersistentVolumeClaim{}:               {Transform: onlyLabels},
			&admissionv1.MutatingWebhookConfiguration{}:   named(names.PodWebhooks),
			&admissionv1.ValidatingWebhookConfiguration{}: named(names.ValidatingWebhooks),
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{
				namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", names.WebhookAuthority)},
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making caches: %w", err)
	}
	return &sight{cache: cached, live: live}, nil
}

// staticMapper knows the kinds of the scheme without asking the API server, so
// that a process starts with CRDs or without.
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

// onlyLabels keeps of a claim what tells whose it is.
func onlyLabels(object any) (any, error) {
	if claim, is := object.(*corev1.PersistentVolumeClaim); is {
		kept := &corev1.PersistentVolumeClaim{TypeMeta: claim.TypeMeta}
		kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = claim.Namespace, claim.Name, claim.UID, claim.ResourceVersion
		kept.Labels = claim.Labels
		return kept, nil
	}
	return object, nil
}

// run fills the caches and keeps them so, calling changed when the Secret of
// authorities or a configuration does.
func (s *sight) run(ctx context.Context, changed func()) error {
	for _, object := range []client.Object{&corev1.PersistentVolumeClaim{}, &v1alpha1.Dataset{}, &v1alpha1.JindoRuntime{}} {
		if _, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	for _, object := range []client.Object{
		&corev1.Secret{}, &admissionv1.MutatingWebhookConfiguration{}, &admissionv1.ValidatingWebhookConfiguration{},
	} {
		informer, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		_, err = informer.AddEventHandler(clientcache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			UpdateFunc: func(any, any) { changed() },
			DeleteFunc: func(any) { changed() },
		})
		if err != nil {
			return fmt.Errorf("listening for changes of %T: %w", object, err)
		}
	}
	go func() {
		if s.cache.WaitForCacheSync(ctx) {
			s.synced.Store(true)
		}
	}()
	if err := s.cache.Start(ctx); err != nil {
		return fmt.Errorf("watching the cluster: %w", err)
	}
	return nil
}

// ready says that the caches are not filled yet.
func (s *sight) ready() error {
	if !s.synced.Load() {
		return errors.New("reading what is in the cluster: are the CRDs installed?")
	}
	return nil
}
