// Package cluster is what the node plugin needs of Kubernetes: labels of its own
// node, the pods on it, and events on them. Nothing here blocks a mount for long:
// what the API server does not answer is known from before, or done later.
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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// requestTime bounds one request.
const requestTimeout = 10 * time.Second

// Cluster as one node sees it.
type Cluster struct {
	node     string
	client   kubernetes.Interface
	log      *slog.Logger
	pods     cache.SharedIndexInformer
	factory  informers.SharedInformerFactory
	events   record.EventBroadcaster
	recorder record.EventRecorder
}

// InCluster connects with the credentials of the plugin's pod.
func InCluster(node string, logger *slog.Logger) (*Cluster, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	config.Timeout = requestTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return New(client, node, logger)
}

// New uses a client.
func New(client kubernetes.Interface, node string, logger *slog.Logger) (*Cluster, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
	}))
	pods := factory.Core().V1().Pods().Informer()
	if err := pods.SetTransform(trimPod); err != nil {
		return nil, fmt.Errorf("preparing the list of pods: %w", err)
	}
	events := record.NewBroadcaster()
	c := &Cluster{
		node: node, client: client, log: logger, pods: pods, factory: factory, events: events,
		recorder: events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: names.Driver, Host: node}),
	}
	return c, nil
}

// onlyNeeded keeps of a pod who it is, whether it is being deleted, and its
// sidecar.
func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		DeletionTimestamp: pod.DeletionTimestamp,
	}, Spec: sidecarSpec(pod)}, nil
}

// Run follows the pods until the context ends.
func (c *Cluster) Run(ctx context.Context) {
	c.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	defer c.events.Shutdown()
	c.factory.Start(ctx.Done())
	<-ctx.Done()
	c.factory.Shutdown()
}

// LabelNode gives the node a label, or takes it away. Only that label is named in
// the request.
func (c *Cluster) LabelNode(ctx context.Context, key string, present bool) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	labels := map[string]any{key: nil}
	if present {
		labels[key] = "true"
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return fmt.Errorf("encoding label %s: %w", key, err)
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, c.node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: names.Driver})
	if err != nil {
		return fmt.Errorf("patching node %s: %w", c.node, err)
	}
	return nil
}

// Leaving says that a pod is being deleted, or gone. It is not while the list of
// pods is not known yet.
func (c *Cluster) Terminating(pod records.Pod) bool {
	if !c.pods.HasSynced() || pod.Name == "" {
		return false
	}
	object, there, err := c.pods.GetStore().GetByKey(pod.Namespace + "/" + pod.Name)
	if err != nil {
		return false
	}
	if !there {
		return true
	}
	found, ok := object.(*corev1.Pod)
	return ok && (string(found.UID) != pod.UID || found.DeletionTimestamp != nil)
}

// Tell makes an event on a pod.
func (c *Cluster) RecordEvent(pod records.Pod, reason, message string) {
	if pod.Name == "" {
		return
	}
	c.recorder.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: types.UID(pod.UID),
	}, corev1.EventTypeWarning, reason, message)
}
