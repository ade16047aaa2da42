package inject

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	kjson "sigs.k8s.io/json"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// place returns the operations that add or update the sidecar and its volume. fresh
// reports whether the pod had no sidecar.
func (p *planner) place(s *sidecar) (operations []Operation, fresh bool, err error) {
	volume, err := p.placeVolume(s)
	if err != nil {
		return nil, false, err
	}
	at := p.doc.sidecarIndex()
	others := slices.Clone(p.doc.Spec.InitContainers)
	if at >= 0 {
		others = slices.Delete(others, at, at+1)
	}
	to := position(others)
	if at < 0 {
		return append(volume, p.doc.insert(to, json.RawMessage(s.container))), true, nil
	}
	raw, err := p.doc.rawInitContainer(at)
	if err != nil {
		return nil, false, err
	}
	want, err := members(s.container)
	if err != nil {
		return nil, false, err
	}
	injected := p.doc.Metadata.Annotations[names.AnnotationInjection] == s.hash
	aligned, changed := align(raw, want, injected, p.doc.isClaim)
	if at != to {
		operations = p.doc.cut(at)
		return slices.Concat(volume, operations, []Operation{{Op: "add", Path: pointer("/spec/initContainers", to), Value: aligned}}), false, nil
	}
	if len(changed) > 0 {
		operations = append([]Operation{p.doc.testName(at)}, fields(at, raw, aligned, changed)...)
	}
	return append(volume, operations...), false, nil
}

func (d *document) insert(at int, value any) Operation {
	if d.Spec.InitContainers == nil {
		return Operation{Op: "add", Path: "/spec/initContainers", Value: []any{value}}
	}
	return Operation{Op: "add", Path: pointer("/spec/initContainers", at), Value: value}
}

// testName returns a test operation that fails if the init container with an index is
// not the sidecar.
func (d *document) testName(at int) Operation {
	return Operation{Op: "test", Path: pointer("/spec/initContainers", at, "name"), Value: names.SidecarContainer}
}

func (d *document) cut(at int) []Operation {
	return []Operation{d.testName(at), {Op: "remove", Path: pointer("/spec/initContainers", at)}}
}

func (p *planner) placeVolume(s *sidecar) ([]Operation, error) {
	at := p.doc.sidecarVolumeIndex()
	switch {
	case at >= 0:
	case p.doc.Spec.Volumes == nil:
		return []Operation{{Op: "add", Path: "/spec/volumes", Value: []any{json.RawMessage(s.volume)}}}, nil
	default:
		return []Operation{{Op: "add", Path: "/spec/volumes/-", Value: json.RawMessage(s.volume)}}, nil
	}
	raw, err := p.doc.rawVolume(at)
	if err != nil {
		return nil, err
	}
	want, err := members(s.volume)
	if err != nil {
		return nil, err
	}
	if csi, _ := raw["csi"].(map[string]any); csi != nil {
		for key, value := range csi { // the API server may set empty defaults
			if value == nil || value == false || value == "" {
				delete(csi, key)
			}
		}
	}
	if reflect.DeepEqual(raw, want) {
		return nil, nil
	}
	return []Operation{
		{Op: "test", Path: pointer("/spec/volumes", at, "name"), Value: names.SidecarVolume},
		{Op: "replace", Path: pointer("/spec/volumes", at), Value: json.RawMessage(s.volume)},
	}, nil
}

// fields returns the operations for the members of a container that change.
func fields(at int, raw, aligned map[string]any, changed []string) []Operation {
	var operations []Operation
	for _, name := range changed {
		path := pointer("/spec/initContainers", at, name)
		value, want := aligned[name]
		_, has := raw[name]
		switch {
		case !want:
			operations = append(operations, Operation{Op: "remove", Path: path})
		case has:
			operations = append(operations, Operation{Op: "replace", Path: path, Value: value})
		default:
			operations = append(operations, Operation{Op: "add", Path: path, Value: value})
		}
	}
	return operations
}

func (d *document) rawInitContainer(at int) (map[string]any, error) {
	var raw struct {
		Spec struct {
			InitContainers []json.RawMessage `json:"initContainers"`
		} `json:"spec"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(d.raw, &raw); err != nil || at >= len(raw.Spec.InitContainers) {
		return nil, refuse(ReasonMalformed, "parse init container %q of the pod: %v", names.SidecarContainer, err)
	}
	return members(raw.Spec.InitContainers[at])
}

func (d *document) rawVolume(at int) (map[string]any, error) {
	var raw struct {
		Spec struct {
			Volumes []json.RawMessage `json:"volumes"`
		} `json:"spec"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(d.raw, &raw); err != nil || at >= len(raw.Spec.Volumes) {
		return nil, refuse(ReasonMalformed, "parse volume %q of the pod: %v", names.SidecarVolume, err)
	}
	return members(raw.Spec.Volumes[at])
}

func members(object []byte) (map[string]any, error) {
	var all map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(object, &all); err != nil {
		return nil, refuse(ReasonMalformed, "parse the pod: %v", err)
	}
	if all == nil {
		return nil, refuse(ReasonMalformed, "parse the pod: %s", fmt.Sprintf("%.40q is not an object", object))
	}
	return all, nil
}
