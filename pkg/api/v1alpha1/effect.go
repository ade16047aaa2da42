package v1alpha1

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// FieldWithoutEffect is a field that is accepted and does nothing.
type FieldWithoutEffect struct {
	Kind string
	// Path of the field, with [] behind a list and its name in [] for a key of
	// a map: spec.mounts[].options[locks].
	Path string
	// Reason says why, and what to do instead where there is something.
	Reason string
	// NotYet: it is to have an effect in a later version.
	NotYet bool
}

// FieldsWithoutEffect lists the fields of the three kinds that are accepted and
// do nothing, those of a later version included, in the order of kinds and
// paths. Everything below a listed field is listed with it.
func FieldsWithoutEffect() []FieldWithoutEffect {
	never := func(kind, path, reason string) FieldWithoutEffect {
		return FieldWithoutEffect{Kind: kind, Path: path, Reason: reason}
	}
	later := func(kind, path, reason string) FieldWithoutEffect {
		return FieldWithoutEffect{Kind: kind, Path: path, Reason: reason, NotYet: true}
	}
	const (
		engine  = "it sets the engine that this one replaces"
		logging = "run a component with --debug instead"
	)
	table := []FieldWithoutEffect{
		never(DatasetKind, "spec.mounts[].shared", "every mount is shared"),
		never(DatasetKind, "spec.runtimes", "a runtime names its Dataset, by its own name or the annotation "+DatasetAnnotation),
		never(DatasetKind, "spec.dataRestoreLocation", "the store is the truth about files, so there is no metadata to restore"),
		never(DatasetKind, "spec.owner.user", "write uid"),
		never(DatasetKind, "spec.owner.group", "write gid"),

		never(JindoRuntimeKind, "spec.properties", engine),
		never(JindoRuntimeKind, "spec.master.properties", engine),
		never(JindoRuntimeKind, "spec.worker.properties", engine),
		never(JindoRuntimeKind, "spec.fuse.properties", engine),
		never(JindoRuntimeKind, "spec.master.ports", "masters listen on 18004, 18006 and 18008"),
		never(JindoRuntimeKind, "spec.worker.ports", "workers listen on 18005 and 18008"),
		never(JindoRuntimeKind, "spec.worker.replicas", "write spec.replicas"),
		never(JindoRuntimeKind, "spec.worker.storageClassName", "only masters have volumes"),
		never(JindoRuntimeKind, "spec.runAs", "servers need no particular user"),
		never(JindoRuntimeKind, "spec.user", "servers need no particular user"),
		later(JindoRuntimeKind, "spec.hadoopConfig", "there is no driver for hdfs:// yet"),
		never(JindoRuntimeKind, "spec.logConfig", logging),
		never(JindoRuntimeKind, "spec.fuse.logConfig", logging),
		later(JindoRuntimeKind, "spec.tieredstore.levels[].volumeSource", "an emptyDir has the quota for its limit, and the node's medium"),
		later(JindoRuntimeKind, "spec.cleanCachePolicy", "directories are removed when the pods are gone, with three attempts"),
		never(JindoRuntimeKind, "spec.fuse.tolerations", "the mounts' servers run wherever pods with the volume do"),
		later(JindoRuntimeKind, "spec.fuse.metrics", "metrics are always offered, on the health port"),

		later(DataLoadKind, "spec", "nothing loads ahead of reading yet"),
	}
	for _, options := range []string{"spec.mounts[].options", "spec.sharedOptions"} {
		table = append(table,
			later(DatasetKind, options+"["+OptionCacheStrategy+"]", "objects are placed by hashing, as under DISTRIBUTED"),
			later(DatasetKind, options+"["+OptionReadCacheReplica+"]", "each object is cached once"),
			never(DatasetKind, options+"["+OptionWriteCacheReplica+"]", "the store keeps what was written"),
			never(DatasetKind, options+"["+OptionWritePolicy+"]", "files are in the store before close returns, as under WRITE_THROUGH"),
			later(DatasetKind, options+"["+OptionPosixMetadata+"]", "mounts are read-only yet"),
			later(DatasetKind, options+"["+OptionLocks+"]", "locks are the kernel's own yet"),
		)
	}
	slices.SortStableFunc(table, func(a, b FieldWithoutEffect) int {
		if a.Kind != b.Kind {
			return strings.Compare(a.Kind, b.Kind)
		}
		return strings.Compare(a.Path, b.Path)
	})
	return table
}

// withoutEffect warns of the fields in the table that an object sets.
func (f *findings) withoutEffect(kind string, object any) {
	raw, err := json.Marshal(object)
	if err != nil {
		return // it cannot be encoded, so nothing can have been read into it
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return
	}
	for _, entry := range FieldsWithoutEffect() {
		if entry.Kind != kind {
			continue
		}
		for _, path := range setPaths(tree, strings.Split(entry.Path, "."), "") {
			word := "has no effect"
			if entry.NotYet {
				word = "has no effect yet"
			}
			f.warnings = append(f.warnings, path+": "+word+": "+entry.Reason)
		}
	}
}

// setPaths answers the places in tree, with indexes, where a path leads to
// something that says more than nothing.
func setPaths(tree any, path []string, at string) []string {
	if len(path) == 0 {
		if isEmpty(tree) {
			return nil
		}
		return []string{strings.TrimPrefix(at, ".")}
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil
	}
	name, list := strings.CutSuffix(path[0], "[]")
	name, key, keyed := strings.Cut(name, "[")
	at += "." + name
	switch {
	case list:
		var paths []string
		items, _ := object[name].([]any)
		for i, item := range items {
			paths = append(paths, setPaths(item, path[1:], at+index(i))...)
		}
		return paths
	case keyed:
		key = strings.TrimSuffix(key, "]")
		inner, _ := object[name].(map[string]any)
		return setPaths(inner[key], path[1:], at+"["+key+"]")
	default:
		return setPaths(object[name], path[1:], at)
	}
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// isEmpty holds for what says nothing: nothing, and mappings and lists of
// nothing.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !isEmpty(inner) {
				return false
			}
		}
		return true
	}
	return false
}
