package inject

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/topology"
)

// ports that the sidecar dials: masters' and workers'.
func ports() []string {
	return []string{strconv.Itoa(topology.MasterPort), strconv.Itoa(topology.WorkerPort)}
}

// meshPorts are the annotations that make meshes leave our traffic alone, which
// is mutual TLS already: a proxy that starts after us would keep us from ever
// being ready. They are always there, because a mesh's webhook may come after
// ours and reads them then.
func (d *document) meshPorts() map[string]string {
	merged := map[string]string{}
	for _, key := range []string{names.AnnotationIstioExcludePorts, names.AnnotationLinkerdSkipPorts} {
		merged[key] = mergePorts(d.Metadata.Annotations[key])
	}
	return merged
}

// mergePorts appends ours to a list of ports and ranges, where it lacks them.
func mergePorts(there string) string {
	all := splitList(there)
	missing := slices.DeleteFunc(ports(), func(port string) bool { return covers(all, port) })
	if len(missing) == 0 {
		return there
	}
	if len(all) == 0 {
		return strings.Join(missing, ",")
	}
	return strings.TrimRight(there, ", ") + "," + strings.Join(missing, ",")
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

// withoutPorts undoes mergePorts.
func withoutPorts(there string) string {
	all := there
	for _, port := range slices.Backward(ports()) {
		all = strings.TrimSuffix(strings.TrimSuffix(all, port), ",")
	}
	return all
}

// position of the sidecar among the init containers that are not it: first, so
// that the others can read. After a mesh's proxy that is a sidecar itself, since
// what comes before that (the proxy's own rules of the network) has it already;
// before the rules of one that starts with the containers, which would take away
// the cluster's DNS until it runs.
func position(others []container) int {
	at := 0
	for i, c := range others {
		if c.RestartPolicy == "Always" && (c.Name == "istio-proxy" || c.Name == "linkerd-proxy") {
			at = i + 1
		}
	}
	return at
}
