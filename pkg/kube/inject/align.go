package inject

import (
	"maps"
	"reflect"
	"slices"
)

// align updates an existing sidecar to the desired one, and returns the members that
// change. It preserves what it does not determine: fields that are newer than this
// program, what admission adds to every container (the mount of the service account,
// environment variables), and defaults of the API server. If the annotation of the
// pod shows that this sidecar was injected, later changes of its image, pull policy
// and resources are preserved too. Mounts of claims are removed, because a server
// cannot start while it waits for a mount that it has to serve.
func align(existing, want map[string]any, injected bool, isClaim func(volume string) bool) (aligned map[string]any, changed []string) {
	aligned = maps.Clone(existing)
	if mounts, ok := existing["volumeMounts"].([]any); ok {
		left := slices.DeleteFunc(slices.Clone(mounts), func(m any) bool { name, _ := keyOf(m, "name").(string); return isClaim(name) })
		if len(left) < len(mounts) {
			aligned["volumeMounts"] = left
			changed = append(changed, "volumeMounts")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if aligned[name] != nil && same(name, aligned[name], want[name], injected) {
			continue
		}
		aligned[name] = keepOthers(name, aligned[name], want[name])
		if !slices.Contains(changed, name) {
			changed = append(changed, name)
		}
	}
	for _, name := range unwanted() {
		if value, has := aligned[name]; has && !empty(value) {
			delete(aligned, name)
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return aligned, changed
}

// unwanted returns members that could make the sidecar fail or restart, or give it
// secrets or ports.
func unwanted() []string {
	return []string{"envFrom", "lifecycle", "livenessProbe", "ports", "readinessProbe", "volumeDevices", "workingDir"}
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// same reports whether a member has the desired value.
func same(name string, existing, want any, injected bool) bool {
	switch name {
	case "image", "imagePullPolicy", "resources":
		return injected || reflect.DeepEqual(existing, want)
	case "command", "args":
		return reflect.DeepEqual(existing, want)
	case "env":
		return containsNamed(existing, want, "name")
	case "volumeMounts":
		return containsNamed(existing, want, "mountPath")
	case "securityContext":
		return contains(existing, want) && !loosened(existing)
	}
	return contains(existing, want)
}

// contains reports whether the existing value contains the desired one.
func contains(existing, want any) bool {
	wanted, isObject := want.(map[string]any)
	if !isObject {
		return reflect.DeepEqual(existing, want)
	}
	object, isObject := existing.(map[string]any)
	if !isObject {
		return false
	}
	for name, value := range wanted {
		if !contains(object[name], value) {
			return false
		}
	}
	return true
}

// containsNamed is contains for lists whose items have a name. Every item with the name of a
// desired item must be equal to it.
func containsNamed(existing, want any, key string) bool {
	items, _ := existing.([]any)
	wanted, _ := want.([]any)
	for _, w := range wanted {
		found := false
		for _, item := range items {
			if keyOf(item, key) != keyOf(w, key) {
				continue
			}
			if !contains(item, w) {
				return false
			}
			found = true
		}
		if !found {
			return false
		}
	}
	return true
}

func keyOf(item any, key string) any {
	object, _ := item.(map[string]any)
	name, _ := object[key].(string)
	return name
}

// loosened reports whether a security context permits, by a member that the desired
// one omits, what the desired one forbids.
func loosened(existing any) bool {
	object, _ := existing.(map[string]any)
	capabilities, _ := object["capabilities"].(map[string]any)
	return object["privileged"] == true || !empty(capabilities["add"]) || !empty(object["procMount"]) && object["procMount"] != "Default" ||
		!empty(object["windowsOptions"])
}

// keepOthers returns the desired member with the additional items of the existing
// one.
func keepOthers(name string, existing, want any) any {
	key := map[string]string{"env": "name", "volumeMounts": "mountPath"}[name]
	items, isList := existing.([]any)
	if key == "" || !isList {
		return want
	}
	wanted, _ := want.([]any)
	merged := slices.Clone(wanted)
	for _, item := range items {
		if !slices.ContainsFunc(wanted, func(w any) bool { return keyOf(w, key) == keyOf(item, key) }) {
			merged = append(merged, item)
		}
	}
	return merged
}
