package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/version"
)

// Cluster is the connection to the cluster that the global flags name.
type Cluster struct {
	// Config has no rate limit. Its requests end after the request timeout, and
	// share one budget for an API server that does not respond.
	Config *rest.Config
	// Client reads and writes the kinds in [Scheme], typed or unstructured. It
	// makes no discovery requests.
	*client.Client
	// Namespace is that of -n, or of the context.
	Namespace string
}

// Cluster returns the connection to the cluster. It sends no request.
func (s *Session) Cluster() (*Cluster, error) {
	c, err := s.connect()
	if err == nil {
		s.inContext = c.Namespace
	}
	return c, err
}

func (s *Session) connect() (*Cluster, error) {
	loader := s.Kube.ToRawKubeConfigLoader()
	if err := s.checkNamed(loader); err != nil {
		return nil, err
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, s.noCluster(err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, s.noCluster(err)
	}
	config.QPS, config.Timeout = -1, s.RequestTimeout
	if s.budget == nil {
		s.budget = newBudget(s.RequestTimeout)
	}
	config.Wrap(s.budget.wrap)
	config.UserAgent = "kubectl-jindo/" + version.String()
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{Config: config, Client: c, Namespace: namespace}, nil
}

// checkNamed returns an error if nothing names a cluster, where kubectl's loader
// falls back to localhost:8080. In a pod the service account names it.
func (s *Session) checkNamed(loader clientcmd.ClientConfig) error {
	raw, err := loader.RawConfig()
	if err != nil {
		return s.noCluster(err)
	}
	flag := s.Kube.APIServer != nil && *s.Kube.APIServer != ""
	inPod := s.Getenv != nil && s.Getenv("KUBERNETES_SERVICE_HOST") != ""
	switch {
	case flag || inPod:
		return nil
	case len(raw.Clusters) == 0:
		return s.noCluster(clientcmd.ErrEmptyConfig)
	}
	context := raw.CurrentContext
	if s.Kube.Context != nil && *s.Kube.Context != "" {
		context = *s.Kube.Context
		if raw.Contexts[context] == nil {
			return unknownContext(context, slices.Sorted(maps.Keys(raw.Contexts)))
		}
	}
	cluster := s.Kube.ClusterName != nil && *s.Kube.ClusterName != ""
	if context == "" && !cluster {
		return noContext(slices.Sorted(maps.Keys(raw.Contexts)))
	}
	return nil
}

// unknownContext is the error for a --context that the kubeconfig does not have.
func unknownContext(name string, contexts []string) error {
	failed := clierror.Generalf("the kubeconfig has no context %q", name)
	if len(contexts) == 0 {
		return failed.WithHint("it has no contexts: name the cluster with --cluster or --server")
	}
	return failed.WithHint("it has the contexts %s", strings.Join(contexts, ", "))
}

// noContext is the error for a kubeconfig in which no context is current.
func noContext(contexts []string) error {
	failed := clierror.Generalf("the kubeconfig has no current-context")
	if len(contexts) == 0 {
		return failed.WithHint("it has no contexts either: name the cluster with --cluster or --server")
	}
	return failed.WithHint("it has the contexts %s: choose one, or name it with --context", strings.Join(contexts, ", ")).
		WithTry("kubectl config use-context %s", contexts[0])
}

// Watcher returns a client whose watches end only with their context.
func (c *Cluster) Watcher() (*client.Client, error) {
	config := rest.CopyConfig(c.Config)
	config.Timeout = 0
	return newClient(config)
}

func newClient(config *rest.Config) (*client.Client, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme, Mapper: Mapper(scheme)})
}

func (s *Session) noCluster(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		cause := "no kubeconfig found, and KUBECONFIG is not set"
		if s.Getenv != nil && s.Getenv("KUBECONFIG") != "" {
			cause = fmt.Sprintf("KUBECONFIG is %s, which does not exist or has no clusters", s.Getenv("KUBECONFIG"))
		}
		failed := clierror.Generalf("no cluster configured: %s", cause).
			WithTry("--kubeconfig=FILE, or export KUBECONFIG=FILE")
		if s.hasLocal {
			return failed.WithHint("--local shows the runtimes on this machine")
		}
		return failed.WithHint("local runtimes are shown by \"%s status --local\"", s.Name)
	}
	return clierror.Generalf("reading the kubeconfig: %w", err)
}

// Scheme returns a scheme with the kinds that commands use.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(
		v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), batchv1.AddToScheme(scheme),
		policyv1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme), storagev1.AddToScheme(scheme), admissionv1.AddToScheme(scheme), authorizationv1.AddToScheme(scheme),
		coordinationv1.AddToScheme(scheme))
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	return scheme, nil
}

// Mapper returns a mapper of the scheme's kinds to resources that makes no
// discovery requests.
func Mapper(scheme *runtime.Scheme) meta.RESTMapper {
	clusterWide := map[string]bool{
		"Node": true, "PersistentVolume": true, "Namespace": true, "CSIDriver": true, "CSINode": true, "StorageClass": true,
		"MutatingWebhookConfiguration": true, "ValidatingWebhookConfiguration": true,
		"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
		"SelfSubjectAccessReview": true, "SelfSubjectRulesReview": true, "SubjectAccessReview": true,
		"CustomResourceDefinition": true, "APIService": true,
	}
	mapper := meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups())
	add := func(kind schema.GroupVersionKind) {
		if strings.HasSuffix(kind.Kind, "List") || strings.HasSuffix(kind.Kind, "Options") {
			return
		}
		scope := meta.RESTScopeNamespace
		if clusterWide[kind.Kind] {
			scope = meta.RESTScopeRoot
		}
		mapper.Add(kind, scope)
	}
	for kind := range scheme.AllKnownTypes() {
		add(kind)
	}
	add(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return mapper
}
