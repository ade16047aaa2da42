// Package cluster accesses the Kubernetes API for the node plugin: it labels the
// plugin's node, watches the pods on it and records events for them. Every request
// has a short timeout, and known pods are read from a cache, so that an unavailable
// API server does not block mounts.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// requestTimeout is the timeout of one request.
const requestTimeout = 10 * time.Second

// Cluster is the Kubernetes API as used by the plugin of one node. It is safe for
// concurrent use.
type Cluster struct {
	node     string
	client   kubernetes.Interface
	metadata metadata.Interface
	log      *slog.Logger
	pods     cache.SharedIndexInformer
	factory  informers.SharedInformerFactory
	events   record.EventBroadcaster
	recorder record.EventRecorder
}

// InCluster returns a Cluster that uses the credentials of the plugin's pod.
func InCluster(node string, logger *slog.Logger) (*Cluster, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("load in-cluster configuration: %w", err)
	}
	config.Timeout = requestTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create Kubernetes client: %w", err)
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create Kubernetes client of metadata: %w", err)
	}
	return New(client, objects, node, logger)
}

// New returns a Cluster that uses the given clients.
func New(client kubernetes.Interface, objects metadata.Interface, node string, logger *slog.Logger) (*Cluster, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
	}))
	pods := factory.Core().V1().Pods().Informer()
	if err := pods.SetTransform(trimPod); err != nil {
		return nil, fmt.Errorf("set up pod informer: %w", err)
	}
	events := record.NewBroadcaster()
	c := &Cluster{
		node: node, client: client, metadata: objects, log: logger, pods: pods, factory: factory, events: events,
		recorder: events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: names.Driver, Host: node}),
	}
	return c, nil
}

// trimPod reduces a pod to its identity, its owners, its deletion timestamp and its
// sidecar, to save memory in the cache.
func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		DeletionTimestamp: pod.DeletionTimestamp, OwnerReferences: pod.OwnerReferences,
	}, Spec: sidecarSpec(pod)}, nil
}

// Run watches the pods and sends events until ctx ends.
func (c *Cluster) Run(ctx context.Context) {
	c.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	defer c.events.Shutdown()
	c.factory.Start(ctx.Done())
	<-ctx.Done()
	c.factory.Shutdown()
}

// LabelNode sets a label of the node to "true", or removes it. The patch contains
// only that label.
func (c *Cluster) LabelNode(ctx context.Context, key string, present bool) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	labels := map[string]any{key: nil}
	if present {
		labels[key] = "true"
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return fmt.Errorf("encode label %s: %w", key, err)
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, c.node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: names.Driver})
	if err != nil {
		return fmt.Errorf("patch node %s: %w", c.node, err)
	}
	return nil
}

// Terminating reports whether a pod is being deleted or does not exist. It returns
// false until the pod cache has synced.
func (c *Cluster) Terminating(pod records.Pod) bool {
	if !c.pods.HasSynced() || pod.Name == "" {
		return false
	}
	object, exists, err := c.pods.GetStore().GetByKey(pod.Namespace + "/" + pod.Name)
	if err != nil {
		return false
	}
	if !exists {
		return true
	}
	found, ok := object.(*corev1.Pod)
	return ok && (string(found.UID) != pod.UID || found.DeletionTimestamp != nil)
}

// RecordEvent records a warning event for a pod.
func (c *Cluster) RecordEvent(pod records.Pod, reason, message string) {
	if pod.Name == "" {
		return
	}
	c.recorder.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: types.UID(pod.UID),
	}, corev1.EventTypeWarning, reason, message)
}
