package inject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

// AppendPatch appends the operations as a JSON patch, exactly as encoding/json
// encodes them. Values of type json.RawMessage must have been encoded by it; they are
// copied without another scan.
func AppendPatch(to []byte, operations []Operation) ([]byte, error) {
	to = append(to, '[')
	for i, o := range operations {
		if i > 0 {
			to = append(to, ',')
		}
		to = AppendString(append(to, `{"op":`...), o.Op)
		to = AppendString(append(to, `,"path":`...), o.Path)
		if o.Value != nil {
			var err error
			if to, err = appendValue(append(to, `,"value":`...), o.Value); err != nil {
				return nil, fmt.Errorf("encode the operation on %s: %w", o.Path, err)
			}
		}
		to = append(to, '}')
	}
	return append(to, ']'), nil
}

func appendValue(to []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case json.RawMessage:
		if v != nil {
			return append(to, v...), nil
		}
	case string:
		return AppendString(to, v), nil
	case map[string]string:
		if v != nil {
			return AppendStrings(to, v), nil
		}
	case []any:
		if len(v) == 1 {
			to, err := appendValue(append(to, '['), v[0])
			return append(to, ']'), err
		}
	}
	raw, err := json.Marshal(value)
	return append(to, raw...), err
}

// AppendStrings appends an object of strings in JSON, sorted by name.
func AppendStrings(to []byte, all map[string]string) []byte {
	to = append(to, '{')
	for i, key := range sortedKeys(all) {
		if i > 0 {
			to = append(to, ',')
		}
		to = AppendString(append(AppendString(to, key), ':'), all[key])
	}
	return append(to, '}')
}

// sortedKeys is slices.Sorted of the keys with one allocation.
func sortedKeys[K ~string, V any](all map[K]V) []K {
	keys := make([]K, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// AppendString appends a string in JSON, exactly as encoding/json encodes it.
func AppendString(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			raw, _ := json.Marshal(s) // a string can always be encoded
			return append(to, raw...)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}

// Values in the place of which templates have a hole.
const (
	holeVolumes = "@volumes@"
	holeImage   = "@image@"
	holePolicy  = "@policy@"
)

// templates hold the encoded container and volume of a sidecar, cut at their holes.
// Everything else in them is constant.
type templates struct {
	// container has the holes image, argument of volumes, resources and pull policy,
	// in this order.
	container [5][]byte
	// volume has the hole volumes.
	volume [2][]byte
}

var encoded = sync.OnceValues(func() (*templates, error) {
	container, err := json.Marshal(desiredContainer(holeVolumes, holeImage, holePolicy, corev1.ResourceRequirements{}))
	if err != nil {
		return nil, fmt.Errorf("encode the sidecar: %w", err)
	}
	volume, err := json.Marshal(desiredVolume(holeVolumes))
	if err != nil {
		return nil, fmt.Errorf("encode the volume of the sidecar: %w", err)
	}
	t := &templates{}
	for i, hole := range []string{`"` + holeImage + `"`, `"` + volumesArgument + holeVolumes + `"`, `"resources":{}`, `"` + holePolicy + `"`} {
		before, after, found := bytes.Cut(container, []byte(hole))
		if !found {
			return nil, fmt.Errorf("encode the sidecar: %s is not where it was", hole)
		}
		t.container[i], container = before, after
	}
	t.container[4] = container
	before, after, _ := bytes.Cut(volume, []byte(`"`+holeVolumes+`"`))
	t.volume = [2][]byte{before, after}
	return t, nil
})

// encodeSidecar returns the JSON of [desiredContainer] and [desiredVolume].
func encodeSidecar(volumes, image string, policy corev1.PullPolicy, sizes corev1.ResourceRequirements) (container, volume []byte, err error) {
	t, err := encoded()
	if err != nil {
		return nil, nil, err
	}
	if image == "" || policy == "" { // they are omitted
		if container, err = json.Marshal(desiredContainer(volumes, image, policy, sizes)); err != nil {
			return nil, nil, fmt.Errorf("encode the sidecar: %w", err)
		}
		return container, t.encodeVolume(nil, volumes), nil
	}
	to := make([]byte, 0, 2048)
	to = AppendString(append(to, t.container[0]...), image)
	to = AppendString(append(to, t.container[1]...), volumesArgument+volumes)
	to = appendResources(append(append(to, t.container[2]...), `"resources":`...), sizes)
	to = append(to, t.container[3]...)
	to = append(AppendString(to, string(policy)), t.container[4]...)
	at := len(to)
	to = t.encodeVolume(to, volumes)
	return to[:at:at], to[at:], nil
}

func (t *templates) encodeVolume(to []byte, volumes string) []byte {
	return append(AppendString(append(to, t.volume[0]...), volumes), t.volume[1]...)
}

func appendResources(to []byte, sizes corev1.ResourceRequirements) []byte {
	to = append(to, '{')
	if len(sizes.Limits) > 0 {
		to = appendQuantities(append(to, `"limits":`...), sizes.Limits)
	}
	if len(sizes.Requests) > 0 {
		if len(sizes.Limits) > 0 {
			to = append(to, ',')
		}
		to = appendQuantities(append(to, `"requests":`...), sizes.Requests)
	}
	return append(to, '}')
}

func appendQuantities(to []byte, all corev1.ResourceList) []byte {
	to = append(to, '{')
	for i, name := range sortedKeys(all) {
		if i > 0 {
			to = append(to, ',')
		}
		quantity := all[name]
		to = AppendString(append(AppendString(to, string(name)), ':'), quantity.String())
	}
	return append(to, '}')
}
