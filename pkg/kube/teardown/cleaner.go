package teardown

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// cleanerAttempts is the maximum number of cleaner pods for one node.
	cleanerAttempts = 3
	// nodeNotReadyTimeout is how long a node may be not ready before its
	// directories are left behind.
	nodeNotReadyTimeout = 2 * time.Minute
	// cleanerTimeout is the deadline of a cleaner pod, including its start.
	cleanerTimeout = 2 * time.Minute
	// cleanerRetryDelay is the time between two cleaner pods for a node.
	cleanerRetryDelay = 5 * time.Second
	// labelNode is the label of cleaner pods with a digest of the node's name.
	labelNode = "jindo.io/node"
	// annotationNode is the annotation of cleaner pods with the node's name.
	annotationNode = "jindo.io/node"
	cleanerRole    = "cleaner"
)

// removeDirectories removes the runtime's directories on nodes with one cleaner pod
// per node. The pods are in the system namespace, because the runtime's namespace
// may be terminating.
func (t *teardown) removeDirectories(ctx context.Context) (*Result, error) {
	roots, left, err := t.rootsOnNodes(ctx)
	if err != nil {
		return nil, err
	}
	busy, err := t.cleanNodes(ctx, roots)
	if err != nil {
		return nil, err
	}
	if len(busy) > 0 {
		return waiting("cache directories are being removed from %s", strings.Join(busy, ", ")), nil
	}
	t.reportRefused(left)
	return nil, nil
}

// cleanNodes takes the next step on every node, and returns those that are not clean
// yet.
func (t *teardown) cleanNodes(ctx context.Context, roots map[string][]string) ([]string, error) {
	if len(roots) == 0 {
		return nil, nil
	}
	pods, err := t.cleanerPods(ctx)
	if err != nil {
		return nil, err
	}
	var busy []string
	for _, node := range slices.Sorted(maps.Keys(roots)) {
		done, err := t.clean(ctx, node, roots[node], podsOnNode(pods, node))
		if err != nil {
			return nil, err
		}
		if !done {
			busy = append(busy, node)
		}
	}
	return busy, nil
}

// removeCleaners deletes the cleaner pods and reports the directories that they
// kept.
func (t *teardown) removeCleaners(ctx context.Context) (*Result, error) {
	pods, err := t.cleanerPods(ctx)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		pod := &pods[i]
		if message := terminationMessage(pod); pod.Status.Phase == corev1.PodSucceeded && message != "" {
			t.recordEvent("CacheDirectoriesKept", "node %s: %s", pod.Annotations[annotationNode], message)
		}
		if err := t.deletePod(ctx, pod); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (t *teardown) cleanerPods(ctx context.Context) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	labels := client.MatchingLabels(names.Labels(t.runtime.Name, cleanerRole))
	labels[names.LabelRuntimeUID] = string(t.runtime.UID)
	if err := t.Live.List(ctx, pods, client.InNamespace(t.SystemNamespace), labels); err != nil {
		return nil, fmt.Errorf("list cleaner pods in namespace %s: %w", t.SystemNamespace, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods.Items, nil
}

func podsOnNode(pods []corev1.Pod, node string) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return p.Labels[labelNode] != digest(node) })
}

// clean takes the next step on one node and reports whether it was the last.
func (t *teardown) clean(ctx context.Context, node string, roots []string, pods []corev1.Pod) (bool, error) {
	if slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded }) {
		return true, nil
	}
	exists, problem, err := t.nodeState(ctx, node)
	switch {
	case err != nil:
		return false, err
	case !exists:
		return true, nil
	case problem != "":
		t.reportLeft(node, roots, problem)
		return true, nil
	}
	if len(pods) == 0 {
		return t.createCleaner(ctx, node, roots, 0)
	}
	last := &pods[len(pods)-1]
	age := time.Since(last.CreationTimestamp.Time)
	failed := last.Status.Phase == corev1.PodFailed
	switch {
	case !failed && age < cleanerTimeout+cleanerRetryDelay:
		return false, nil
	case len(pods) >= cleanerAttempts:
		t.reportLeft(node, roots, failureReason(last))
		return true, nil
	case failed && age < cleanerRetryDelay:
		return false, nil
	}
	return t.createCleaner(ctx, node, roots, len(pods))
}

// nodeState reports whether a node exists and, in problem, why no pod can run on
// it.
func (t *teardown) nodeState(ctx context.Context, name string) (exists bool, problem string, err error) {
	node := &corev1.Node{}
	err = t.Live.Get(ctx, types.NamespacedName{Name: name}, node)
	if apierrors.IsNotFound(err) {
		return false, "", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("get node %s: %w", name, err)
	}
	if ready, since := health.NodeReady(node); !ready && !since.IsZero() && time.Since(since) > nodeNotReadyTimeout {
		return true, "the node has not been ready since " + since.UTC().Format(time.RFC3339), nil
	}
	return true, "", nil
}

// createCleaner creates a cleaner pod. If the API server rejects it, a retry does
// not help, and the directories are left behind.
func (t *teardown) createCleaner(ctx context.Context, node string, roots []string, try int) (bool, error) {
	pod := t.cleanerPod(node, roots, try)
	err := t.Client.Create(ctx, pod, client.FieldOwner(names.FieldManager))
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		return false, nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsNotFound(err):
		t.reportLeft(node, roots, "the cleaner pod cannot be created: "+err.Error())
		return true, nil
	}
	return false, fmt.Errorf("create cleaner pod %s: %w", pod.Name, err)
}

// reportRefused records an event for each node with directories that the
// installation does not allow.
func (t *teardown) reportRefused(left map[string][]string) {
	for _, node := range slices.Sorted(maps.Keys(left)) {
		t.reportLeft(node, left[node], "they are not below an allowed directory of nodes, "+hostpath.Setting+" of the installation ("+t.HostPaths.String()+")")
	}
}

// reportLeft records an event for directories that are left behind.
func (t *teardown) reportLeft(node string, roots []string, problem string) {
	directories := make([]string, len(roots))
	for i, root := range roots {
		directories[i] = root + "/" + t.runtimePath()
	}
	t.recordEvent("CacheDirectoriesLeft", "%s on node %s may still exist, remove manually: %s", strings.Join(directories, ", "), node, problem)
}

func (t *teardown) deletePod(ctx context.Context, pod *corev1.Pod) error {
	err := t.Client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete cleaner pod %s: %w", pod.Name, err)
	}
	return nil
}

// terminationMessage returns the termination message of a cleaner.
func terminationMessage(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Terminated != nil {
			return strings.TrimSpace(c.State.Terminated.Message)
		}
	}
	return ""
}

// failureReason returns why a cleaner did not succeed.
func failureReason(pod *corev1.Pod) string {
	if message := terminationMessage(pod); message != "" {
		return message
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil {
			return fmt.Sprintf("cleaner pod %s did not start: %s %s", pod.Name, c.State.Waiting.Reason, c.State.Waiting.Message)
		}
	}
	return fmt.Sprintf("cleaner pod %s did not succeed: %s %s", pod.Name, pod.Status.Reason, pod.Status.Message)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func cleanerName(uid, node string, try int) string {
	return "jindo-cleaner-" + digest(uid+"/"+node) + "-" + strconv.Itoa(try)
}
