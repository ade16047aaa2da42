package session

import (
	"errors"
	"fmt"
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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/version"
)

// Cluster is the Kubernetes that the global flags name.
type Cluster struct {
	// Config has no limit of requests a second, and the deadline of one request.
	Config *rest.Config
	// Client of the kinds in [Scheme], and of unstructured objects of those
	// kinds. It asks the API server for nothing but what it is told to: which
	// resources there are is known beforehand.
	client.Client
	// Namespace to work in: of -n, or of the context.
	Namespace string
}

// Cluster connects to it; nothing is sent before the first request.
func (s *Session) Cluster() (*Cluster, error) {
	c, err := s.connect()
	if err == nil {
		s.inContext = c.Namespace
	}
	return c, err
}

func (s *Session) connect() (*Cluster, error) {
	loader := s.Kube.ToRawKubeConfigLoader()
	if err := s.named(loader); err != nil {
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
	config.UserAgent = "kubectl-jindo/" + version.String()
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{Config: config, Client: c, Namespace: namespace}, nil
}

// named refuses to go on to localhost:8080, where kubectl's loader leads when
// nothing names a cluster. In a pod its service account does.
func (s *Session) named(loader clientcmd.ClientConfig) error {
	raw, err := loader.RawConfig()
	if err != nil {
		return s.noCluster(err)
	}
	flag := s.Kube.APIServer != nil && *s.Kube.APIServer != ""
	inPod := s.Getenv != nil && s.Getenv("KUBERNETES_SERVICE_HOST") != ""
	if len(raw.Clusters) == 0 && !flag && !inPod {
		return s.noCluster(clientcmd.ErrEmptyConfig)
	}
	return nil
}

// Watcher is a client whose watches end only with their context.
func (c *Cluster) Watcher() (client.WithWatch, error) {
	config := rest.CopyConfig(c.Config)
	config.Timeout = 0
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	w, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: Mapper(scheme)})
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return w, nil
}

func newClient(config *rest.Config) (client.Client, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: Mapper(scheme)})
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return c, nil
}

func (s *Session) noCluster(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return clierror.Generalf("no cluster is named: there is no kubeconfig, and KUBECONFIG names none").
			WithHint("local runtimes are shown by \"%s status --local\"", s.Name).
			WithTry("--kubeconfig=FILE, or export KUBECONFIG=FILE")
	}
	return clierror.Generalf("finding the cluster: %w", err)
}

// Scheme has the kinds that commands use.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(
		v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), batchv1.AddToScheme(scheme),
		policyv1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme), storagev1.AddToScheme(scheme), admissionv1.AddToScheme(scheme), authorizationv1.AddToScheme(scheme),
		coordinationv1.AddToScheme(scheme))
	if err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	return scheme, nil
}

// Mapper of the scheme's kinds to resources, without asking the API server.
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
