package check

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/printer"
)

const (
	// oldestMinor is the oldest minor version of Kubernetes with every API in use.
	oldestMinor = 30
	// oldestKubelet is the oldest that runs native sidecars by default.
	oldestKubelet = "1.29.0"
	// oldestKernel is the oldest supported one; passthrough reads need newerKernel.
	oldestKernel = "5.4"
	newerKernel  = "6.9"
)

func apiServer(ctx context.Context, w *checkContext) outcome {
	info, err := serverVersion(ctx, w)
	if err != nil {
		return bad("%v", apierror.Explain(w.session, w.cluster, "read the API server's version", err))
	}
	minor, err := strconv.Atoi(strings.TrimRight(info.Minor, "+"))
	if err != nil || info.Major != "1" {
		return warn("the API server has the unknown version %s", info.GitVersion)
	}
	if minor < oldestMinor {
		return bad("the API server is %s: 1.%d or newer is needed, for policies, match conditions and native sidecars", info.GitVersion, oldestMinor)
	}
	return good("API server reachable (%s)", info.GitVersion)
}

// serverVersion returns the version of the API server.
func serverVersion(ctx context.Context, w *checkContext) (*apiversion.Info, error) {
	client, err := rest.HTTPClientFor(w.cluster.Config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	address, _, err := rest.DefaultServerUrlFor(w.cluster.Config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.JoinPath("version").String(), nil)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the address
	}
	defer func() { _ = response.Body.Close() }()
	const limit = 1 << 20
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("unexpected status %s", response.Status)
	}
	info := &apiversion.Info{}
	if err := json.Unmarshal(body, info); err != nil {
		return nil, fmt.Errorf("decode the version: %w", err)
	}
	return info, nil
}

// ofNodes returns the names of the nodes for which pick returns a reason, with the
// reason in parentheses.
func ofNodes(nodes []corev1.Node, pick func(*corev1.Node) string) []string {
	var found []string
	for i := range nodes {
		if reason := pick(&nodes[i]); reason != "" {
			found = append(found, nodes[i].Name+" ("+reason+")")
		}
	}
	return found
}

func nativeSidecars(ctx context.Context, w *checkContext) outcome {
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("list nodes", err)
	}
	old := ofNodes(nodes, func(n *corev1.Node) string {
		if isVirtual(n) || !older(n.Status.NodeInfo.KubeletVersion, oldestKubelet) {
			return ""
		}
		return n.Status.NodeInfo.KubeletVersion
	})
	if len(old) > 0 {
		return bad("kubelets older than %s do not run native sidecars: %s", oldestKubelet, several(old))
	}
	return good("%s run native sidecars", printer.Plural(len(nodes), "node"))
}

func nodeKernels(ctx context.Context, w *checkContext) outcome {
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("list nodes", err)
	}
	kernel := func(limit string) func(*corev1.Node) string {
		return func(n *corev1.Node) string {
			info := n.Status.NodeInfo
			if info.OperatingSystem != "linux" || isVirtual(n) || !older(info.KernelVersion, limit) {
				return ""
			}
			return info.KernelVersion
		}
	}
	if old := ofNodes(nodes, kernel(oldestKernel)); len(old) > 0 {
		return warn("kernels older than %s: %s", oldestKernel, several(old))
	}
	if old := ofNodes(nodes, kernel(newerKernel)); len(old) > 0 {
		return good("kernels have FUSE; %s older than %s copy what newer ones pass through", printer.Plural(len(old), "node"), newerKernel)
	}
	return good("every node's kernel has FUSE and passes reads through (%s or newer)", newerKernel)
}

// older reports whether a version is older than limit, ignoring suffixes.
func older(found, limit string) bool {
	have, err := version.ParseGeneric(found)
	if err != nil {
		return false // unknown versions are not reported
	}
	want, err := version.ParseGeneric(limit)
	return err == nil && have.LessThan(want)
}

func virtualNodes(ctx context.Context, w *checkContext) outcome {
	nodes, err := w.nodeList(ctx)
	if err != nil {
		return w.unread("list nodes", err)
	}
	virtual := ofNodes(nodes, func(n *corev1.Node) string {
		if !isVirtual(n) {
			return ""
		}
		return "virtual node"
	})
	if len(virtual) > 0 {
		return warn("the node plugin cannot run on %s: pods there cannot mount datasets", several(virtual))
	}
	return good("the node plugin can run on every node")
}

// isVirtual reports whether a node's pods run where no DaemonSet does.
func isVirtual(n *corev1.Node) bool {
	return n.Labels["type"] == "virtual-kubelet" || n.Labels["eks.amazonaws.com/compute-type"] == "fargate"
}

func defaultStorageClass(ctx context.Context, w *checkContext) outcome {
	var classes storagev1.StorageClassList
	if err := w.cluster.List(ctx, &classes); err != nil {
		return w.unread("list StorageClasses", err)
	}
	for _, c := range classes.Items {
		if c.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			return good("a default StorageClass exists for the masters (%s)", c.Name)
		}
	}
	return warn("no default StorageClass: masters keep their logs on the nodes' tier paths unless a runtime names one in spec.master.storageClassName")
}

// several joins names; of many only the first three.
func several(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
