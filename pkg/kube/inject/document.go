package inject

import (
	"bytes"
	gojson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// limit is the size of the largest pod in bytes. It is larger than that of the API
// server.
const limit = 4 << 20

// document contains the fields of a pod that an injection depends on. Other fields are
// not decoded. Lists are nil if they are absent or null.
type document struct {
	Metadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		InitContainers   []container                   `json:"initContainers"`
		Containers       []container                   `json:"containers"`
		Volumes          []volume                      `json:"volumes"`
		ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets"`
		NodeSelector     map[string]string             `json:"nodeSelector"`
		HostNetwork      bool                          `json:"hostNetwork"`
		DNSPolicy        string                        `json:"dnsPolicy"`
		Resources        *resources                    `json:"resources"`
		OS               struct {
			Name string `json:"name"`
		} `json:"os"`
	} `json:"spec"`

	raw []byte
}

type container struct {
	Name          string     `json:"name"`
	RestartPolicy string     `json:"restartPolicy"`
	Command       []string   `json:"command"`
	Resources     *resources `json:"resources"`
	VolumeMounts  []struct {
		Name string `json:"name"`
	} `json:"volumeMounts"`
}

type volume struct {
	Name  string `json:"name"`
	Claim *struct {
		Name string `json:"claimName"`
	} `json:"persistentVolumeClaim"`
	CSI *struct {
		Driver string `json:"driver"`
	} `json:"csi"`
}

type resources struct {
	Limits   corev1.ResourceList `json:"limits"`
	Requests corev1.ResourceList `json:"requests"`
}

// parse parses a pod as Kubernetes does: names are case-sensitive, and duplicates are
// an error.
func parse(pod []byte) (*document, error) {
	if len(pod) > limit {
		return nil, refuse(ReasonMalformed, "the pod has %d bytes, which is more than the API server accepts", len(pod))
	}
	if trimmed := bytes.TrimLeft(pod, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, refuse(ReasonMalformed, "the pod is not a JSON object")
	}
	doc := &document{raw: pod}
	double, err := json.UnmarshalStrict(pod, doc, json.DisallowDuplicateFields)
	if err != nil {
		return nil, refuse(ReasonMalformed, "parse the pod: %s", unreadable(err))
	}
	if len(double) > 0 {
		return nil, refuse(ReasonMalformed, "parse the pod: %v", double[0])
	}
	return doc, nil
}

func unreadable(err error) string {
	var wrong *gojson.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("%s cannot be a %s", wrong.Field, wrong.Value)
	}
	return err.Error()
}

// claims returns the sorted names of the claims of volumes.
func (d *document) claims() []string {
	var claims []string
	for _, v := range d.Spec.Volumes {
		if v.Claim != nil && v.Claim.Name != "" {
			claims = append(claims, v.Claim.Name)
		}
	}
	return unique(claims)
}

// find returns the Datasets whose volumes are mounted by containers, sorted by name.
// The kubelet does not publish a volume that no container mounts.
func (d *document) find(datasets map[string]*Dataset) []*Dataset {
	mounted := map[string]bool{}
	for _, containers := range [][]container{d.Spec.InitContainers, d.Spec.Containers} {
		for _, c := range containers {
			for _, m := range c.VolumeMounts {
				mounted[m.Name] = mounted[m.Name] || c.Name != names.SidecarContainer
			}
		}
	}
	found := map[string]*Dataset{}
	for _, v := range d.Spec.Volumes {
		if v.Claim == nil || !mounted[v.Name] {
			continue
		}
		if dataset := datasets[v.Claim.Name]; dataset != nil {
			found[dataset.Name] = dataset
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *Dataset) int { return strings.Compare(a.Name, b.Name) })
}

// sidecarIndex returns the index of the sidecar of an earlier injection, or -1.
func (d *document) sidecarIndex() int {
	return slices.IndexFunc(d.Spec.InitContainers, func(c container) bool { return c.Name == names.SidecarContainer })
}

// sidecarVolumeIndex returns the index of the volume of an earlier injection, or -1.
func (d *document) sidecarVolumeIndex() int {
	return slices.IndexFunc(d.Spec.Volumes, func(v volume) bool { return v.Name == names.SidecarVolume })
}

// isClaim reports whether a volume is that of a claim.
func (d *document) isClaim(name string) bool {
	return slices.ContainsFunc(d.Spec.Volumes, func(v volume) bool { return v.Name == name && v.Claim != nil })
}

// checkNames rejects a pod with a container or volume of its own that has the name of an
// injected one.
func (d *document) checkNames() error {
	for _, c := range d.Spec.Containers {
		if c.Name == names.SidecarContainer {
			return refuse(ReasonNameTaken, "container %q has the name of the injected sidecar: rename it", c.Name)
		}
	}
	if i := d.sidecarIndex(); i >= 0 && !d.Spec.InitContainers[i].isSidecar() {
		return refuse(ReasonNameTaken, "init container %q has the name of the injected sidecar and does not run %s: rename it", names.SidecarContainer, program)
	}
	if i := d.sidecarVolumeIndex(); i >= 0 && (d.Spec.Volumes[i].CSI == nil || d.Spec.Volumes[i].CSI.Driver != names.Driver) {
		return refuse(ReasonNameTaken, "volume %q has the name of the injected volume: rename it", names.SidecarVolume)
	}
	return nil
}

// isSidecar reports whether a container is the injected sidecar, edited or not. It is
// recognized by its command or its mounts.
func (c container) isSidecar() bool {
	if len(c.Command) > 0 && c.Command[0] == program {
		return true
	}
	for _, m := range c.VolumeMounts {
		if m.Name == names.SidecarVolume {
			return true
		}
	}
	return false
}

// annotate returns the operations that set and remove annotations, sorted by name.
func (d *document) annotate(set map[string]string, drop []string) []Operation {
	const at = "/metadata/annotations"
	existing := d.Metadata.Annotations
	if existing == nil && len(set) > 0 {
		// A pod that requests a sidecar has labels, and therefore metadata.
		return []Operation{{Op: "add", Path: at, Value: set}}
	}
	left := slices.DeleteFunc(slices.Collect(maps.Keys(existing)), func(key string) bool { return slices.Contains(drop, key) })
	if len(set) == 0 && len(left) == 0 && len(existing) > 0 {
		return []Operation{{Op: "remove", Path: at}}
	}
	var operations []Operation
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value, has := existing[key]
		switch {
		case !has:
			operations = append(operations, Operation{Op: "add", Path: pointer(at, key), Value: set[key]})
		case value != set[key]:
			operations = append(operations, Operation{Op: "replace", Path: pointer(at, key), Value: set[key]})
		}
	}
	for _, key := range drop {
		if _, has := existing[key]; has {
			operations = append(operations, Operation{Op: "remove", Path: pointer(at, key)})
		}
	}
	return operations
}

// pointer returns a JSON pointer to a member, RFC 6901.
func pointer(parent string, members ...any) string {
	var b strings.Builder
	b.WriteString(parent)
	for _, member := range members {
		b.WriteByte('/')
		switch m := member.(type) {
		case int:
			b.WriteString(strconv.Itoa(m))
		case string:
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(m))
		}
	}
	return b.String()
}
