package inject

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
)

// ports returns the ports of masters and workers, to which the sidecar connects.
func ports() []string {
	return []string{strconv.Itoa(topology.MasterPort), strconv.Itoa(topology.WorkerPort)}
}

// meshPorts returns annotations that exclude the sidecar's traffic from service meshes.
// It is mutual TLS already, and the sidecar would never become ready if it depended on
// a proxy that starts later. The annotations are set even if the pod has no proxy,
// because the webhook of a mesh may run after this one.
func (d *document) meshPorts() map[string]string {
	merged := map[string]string{}
	for _, key := range []string{names.AnnotationIstioExcludePorts, names.AnnotationLinkerdSkipPorts} {
		merged[key] = mergePorts(d.Metadata.Annotations[key])
	}
	return merged
}

// mergePorts appends the ports of masters and workers to a list of ports and ranges, if
// it lacks them.
func mergePorts(existing string) string {
	all := splitList(existing)
	missing := slices.DeleteFunc(ports(), func(port string) bool { return covers(all, port) })
	if len(missing) == 0 {
		return existing
	}
	if len(all) == 0 {
		return strings.Join(missing, ",")
	}
	return strings.TrimRight(existing, ", ") + "," + strings.Join(missing, ",")
}

func covers(list []string, port string) bool {
	number, _ := strconv.Atoi(port)
	return slices.ContainsFunc(list, func(entry string) bool {
		if entry == port || entry == "*" {
			return true
		}
		from, to, isRange := strings.Cut(entry, "-")
		low, err1 := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		return isRange && err1 == nil && err2 == nil && low <= number && number <= high
	})
}

// withoutPorts reverts mergePorts.
func withoutPorts(existing string) string {
	all := existing
	for _, port := range slices.Backward(ports()) {
		all = strings.TrimSuffix(strings.TrimSuffix(all, port), ",")
	}
	return all
}

// position returns the index of the sidecar among the other init containers. It is the
// first, so that the others can read files, except that it follows a mesh proxy that is
// a sidecar itself: the network rules of the mesh, which are set before the proxy,
// apply to it already. It precedes the network rules of a proxy that starts with the
// containers, because these make DNS unavailable until the proxy runs.
func position(others []container) int {
	at := 0
	for i, c := range others {
		if c.RestartPolicy == "Always" && (c.Name == "istio-proxy" || c.Name == "linkerd-proxy") {
			at = i + 1
		}
	}
	return at
}
